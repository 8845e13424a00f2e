package jetstream

import (
	"context"

	"github.com/nats-io/nats.go"
)

// fromHeader names the node that asks.
const fromHeader = "Headlight-From"

// maxAnswering bounds the questions of others that are answered at once; one more
// is not.
const maxAnswering = 4

// Answer has f answer what other nodes ask with [Node.Ask], until Close; f is called
// by several goroutines at once. An empty answer is none. It is to be called once.
func (n *Node) Answer(f func(ctx context.Context, question []byte) []byte) error {
	busy := make(chan struct{}, maxAnswering)
	_, err := n.conn.Subscribe(n.prefix+".ask", func(msg *nats.Msg) {
		if msg.Header.Get(fromHeader) == n.name {
			return
		}
		select {
		case busy <- struct{}{}:
		default:
			return
		}
		go func() { // it ends with the node, or in a few seconds
			defer func() { <-busy }()
			ctx, cancel := context.WithTimeout(n.ctx, attempt)
			defer cancel()
			if answer := f(ctx, msg.Data); len(answer) > 0 {
				if err := msg.Respond(answer); err != nil {
					n.log.Debug("answering another node", "err", err)
				}
			}
		}()
	})
	return err
}

// Ask puts a question to the other nodes and gives their answers, in any order, when
// all that are here have answered or ctx is done. missing is how many gave none.
func (n *Node) Ask(ctx context.Context, question []byte) (answers [][]byte, missing int) {
	others := n.machines - 1
	here := others // as far as we know
	if n.nodes != nil {
		here = len(n.here()) - 1
	}
	inbox := n.conn.NewRespInbox()
	sub, err := n.conn.SubscribeSync(inbox)
	if err != nil {
		return nil, others
	}
	defer sub.Unsubscribe()
	err = n.conn.PublishMsg(&nats.Msg{Subject: n.prefix + ".ask", Reply: inbox, Data: question, Header: nats.Header{fromHeader: {n.name}}})
	for err == nil && len(answers) < here {
		var msg *nats.Msg
		if msg, err = sub.NextMsgWithContext(ctx); err == nil {
			answers = append(answers, msg.Data)
		}
	}
	return answers, others - len(answers)
}
