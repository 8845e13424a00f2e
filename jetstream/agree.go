package jetstream

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Agree gives the value that the nodes hold for a key, for ever: what the first of
// them that was asked gave. A key is as that of Claim, and apart from those. Without
// a majority it is an error, as Append's.
func (n *Node) Agree(ctx context.Context, key, value string) (string, error) {
	if err := validateKey(key); err != nil {
		return "", err
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.waitPrepared(ctx); err != nil {
		return "", err
	}
	subject := n.prefix + ".claims.agreed=" + key
	for {
		_, err := n.publish(ctx, &nats.Msg{Subject: subject, Data: []byte(value), Header: nats.Header{
			jetstream.ExpectedLastSubjSeqHeader: {"0"},
		}})
		if _, taken := errors.AsType[*jetstream.APIError](err); !taken {
			return value, err
		}
		agreed, num, err := n.holder(ctx, subject)
		if err != nil || num != 0 { // 0: another's value is on its way
			return agreed, err
		}
	}
}
