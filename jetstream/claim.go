package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxKey bounds the key of a claim, in bytes.
const maxKey = 128

// Claim asks for the right that key names, for d, rounded up to seconds: of all
// nodes that ask, one is told true until d is over. That one is told true
// again if it asks again, and has it for d from then on, also after a restart.
// key has letters, digits, "-", "_" and "=", 128 bytes at most.
//
// A claim is a message that stands only if the key has none, decided by the
// stream's leader, and that the servers delete when it expires. So clocks of
// the nodes may differ by much less than d only. Without a majority it is an
// error, as Append's.
func (n *Node) Claim(ctx context.Context, key string, d time.Duration) (ours bool, err error) {
	if err := validateKey(key); err != nil {
		return false, err
	}
	if d <= 0 {
		return false, fmt.Errorf("claim of %s for %v", key, d)
	}
	holder, err := n.settle(ctx, key, n.name, d)
	return err == nil && holder == n.name, err
}

// settle gives who holds a key: value, if it has no holder, and then for d, or for
// ever if d is 0. If value holds it already, it is for d from now on.
func (n *Node) settle(ctx context.Context, key, value string, d time.Duration) (holder string, err error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.waitPrepared(ctx); err != nil {
		return "", err
	}
	subject := n.prefix + ".claims." + key
	replaces := uint64(0) // the message that this one takes the place of
	for {
		header := nats.Header{jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(replaces, 10)}}
		if d > 0 {
			header.Set(jetstream.MsgTTLHeader, strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10))
		}
		_, err := n.publish(ctx, &nats.Msg{Subject: subject, Data: []byte(value), Header: header})
		if _, taken := errors.AsType[*jetstream.APIError](err); !taken {
			return value, err
		}
		holder, num, err := n.holder(ctx, subject)
		if err != nil || num != 0 && (holder != value || d == 0) {
			return holder, err
		}
		// Ours, and perhaps of this very call, if the answer to it was lost; or expired
		// meanwhile; or, if there is none, another's that is on its way.
		replaces = num
	}
}

func validateKey(key string) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("claim key of %d bytes: want 1 to %d", len(key), maxKey)
	}
	for _, c := range []byte(key) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '=') {
			return fmt.Errorf("claim key %q: byte %q is not allowed", key, c)
		}
	}
	return nil
}

// holder asks the leader of the claims who holds one, and by which message; 0: nobody.
func (n *Node) holder(ctx context.Context, subject string) (name string, num uint64, err error) {
	for {
		try, cancel := context.WithTimeout(ctx, attempt)
		var msg *jetstream.RawStreamMsg
		stream, err := n.js.Stream(try, n.claimsStream())
		if err == nil {
			msg, err = stream.GetLastMsgForSubject(try, subject)
		}
		cancel()
		if err == nil {
			return string(msg.Data), msg.Sequence, nil
		}
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return "", 0, nil
		}
		sleep(ctx, pause)
		if err := n.done(ctx, err); err != nil {
			return "", 0, err
		}
	}
}
