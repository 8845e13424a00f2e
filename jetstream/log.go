package jetstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headlight.example/evidence"
)

// messageBits are those of a sequence below the number of its message.
const messageBits = 16

// Append implements [evidence.Log]: all the records are on the disks of a
// majority when it returns. They stand together, so they must fit in one
// batch: else the error is a [*evidence.TooLargeError].
//
// If the answer does not come, since a leader died, say, they are sent again
// under the same id, which the cluster knows for 30 s; so they are seldom
// stored twice. Without a majority it gives up at ctx's deadline, or after
// 15 s if it has none, and says what is missing.
func (n *Node) Append(ctx context.Context, records ...evidence.Record) (last uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(records) == 0 {
		return n.last(ctx)
	}
	batch, err := evidence.AppendBatch(make([]byte, 0, 64+96*min(len(records), evidence.MaxBatch)), records...)
	if err != nil {
		return 0, err
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.waitPrepared(ctx); err != nil {
		return 0, err
	}
	if most := n.conn.MaxPayload(); int64(len(batch))+headerRoom > most {
		return 0, fmt.Errorf("an append of %d bytes: the NATS servers take %d; set their max_payload to %d", len(batch), most, maxPayload)
	}
	msg := &nats.Msg{Subject: n.evidenceSubject(), Data: batch, Header: nats.Header{jetstream.MsgIDHeader: {rand.Text()}}}
	ack, err := n.publish(ctx, msg)
	if err != nil {
		return 0, err
	}
	return ack.Sequence << messageBits, nil
}

// publish sends a message until a stream acknowledges it, or refuses it for a
// reason that will not pass.
func (n *Node) publish(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	var last error
	for {
		try, cancel := context.WithTimeout(ctx, attempt)
		ack, err := n.js.PublishMsg(try, msg)
		cancel()
		if err == nil {
			return ack, nil
		}
		if !errors.Is(err, context.DeadlineExceeded) || last == nil {
			last = err
		}
		if refused := (*jetstream.APIError)(nil); errors.As(err, &refused) {
			switch refused.ErrorCode {
			case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
				return nil, refused
			case codeResources, codeStorage, codeStoreFailed:
				return nil, fmt.Errorf("%w: %v", evidence.ErrFull, refused)
			}
		}
		sleep(ctx, pause)
		if err := n.done(ctx, last); err != nil {
			return nil, err
		}
	}
}

// Error codes of JetStream that say that there is no room (errors.json of nats-server).
const (
	codeResources   = 10023 // insufficient resources
	codeStorage     = 10047 // insufficient storage resources available
	codeStoreFailed = 10077 // the store refused it: over its bounds
)

// last asks the stream's leader how far the log goes.
func (n *Node) last(ctx context.Context) (uint64, error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.waitPrepared(ctx); err != nil {
		return 0, err
	}
	for {
		try, cancel := context.WithTimeout(ctx, attempt)
		info, err := n.led(try)
		cancel()
		if err == nil {
			return info.State.LastSeq << messageBits, nil
		}
		sleep(ctx, pause)
		if err := n.done(ctx, err); err != nil {
			return 0, err
		}
	}
}

// Entries implements [evidence.Log]. It asks the stream's leader where the log
// ends, and so sees what was acknowledged before the call, by whichever node;
// the entries are read from this node's disk, if it has them. Without a
// leader it ends with an error, as Append does.
func (n *Node) Entries(ctx context.Context, after uint64) iter.Seq2[evidence.Entry, error] {
	end, err := n.last(ctx)
	return func(yield func(evidence.Entry, error) bool) {
		if err := cmp.Or(err, ctx.Err()); err != nil {
			yield(evidence.Entry{}, err)
			return
		}
		if after >= end {
			return
		}
		for entries, err := range n.read(ctx, after, end) {
			if err != nil {
				yield(evidence.Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Follow yields the entries with a sequence above after, in order, each once,
// and waits for more until ctx is done, which ends it without an error. What
// is there comes at once, in pieces of whole messages: about 4,096 entries,
// more only if one message has more. It reads this node's disk, and gives what
// is there also when the majority has gone; but a node that starts without one
// reads nothing until it comes. It survives the loss of leaders and
// connections. An error ends it: [evidence.ErrClosed], [evidence.ErrTrimmed] if
// what comes next is older than Config.Keep, or a message that cannot be read, a
// [*MessageError].
func (n *Node) Follow(ctx context.Context, after uint64) iter.Seq2[[]evidence.Entry, error] {
	return n.read(ctx, after, forEver)
}

// forEver is beyond the end of any log.
const forEver = 1<<64 - 1

// Bounds of reading.
const (
	pieceEntries = 4096
	// What one request to the server asks for; a message more than that may come.
	requestMessages = 2048
	requestBytes    = 4 << 20
	// Reading that much may take so long, also from a slow disk.
	fetchTime = 8 * time.Second
	// Who was told that the log has grown may be faster than this node's
	// copy: it looks again, soon at first.
	minLook = time.Millisecond
	maxLook = time.Second
)

// MessageError says that a message of the log cannot be read, neither on this
// node nor on the stream's leader.
type MessageError struct {
	Message uint64 // its number, from 1
	Err     error
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("message %d of the cluster's log: %v, here and on its leader; if another node has it, stop the leader, "+
		"move its jetstream/ away and start it", e.Message, e.Err)
}
func (e *MessageError) Unwrap() error { return e.Err }

// read yields entries above after, in pieces, until it has reached end.
func (n *Node) read(ctx context.Context, after, end uint64) iter.Seq2[[]evidence.Entry, error] {
	return func(yield func([]evidence.Entry, error) bool) {
		ctx, cancel := n.mortal(context.WithCancel(ctx))
		defer cancel()
		look, begun := minLook, time.Now()
		for after < end {
			woken := n.woken.wait() // before looking: what is said meanwhile is not missed
			var piece []evidence.Entry
			var err error
			from := after
			for msg, e := range n.request(ctx, after>>messageBits+1, look == maxLook) {
				if err = e; err != nil || msg.last > end {
					break
				}
				entries := msg.entries
				if i := slices.IndexFunc(entries, func(e evidence.Entry) bool { return e.Seq > after }); i > 0 {
					entries = entries[i:]
				}
				after = msg.last
				if len(piece) > 0 && len(piece)+len(entries) > pieceEntries {
					if !yield(piece, nil) {
						return
					}
					piece = nil
				}
				if piece == nil {
					piece = entries // most often a large message is a piece
				} else {
					piece = append(piece, entries...)
				}
			}
			if len(piece) > 0 && !yield(piece, nil) {
				return
			}
			if ctx.Err() == nil {
				if errors.Is(err, evidence.ErrTrimmed) {
					err = evidence.ErrTrimmed // a message too old is no damage
				}
				if _, bad := errors.AsType[*MessageError](err); bad || err == evidence.ErrTrimmed {
					yield(nil, err)
					return
				}
				if after > from {
					look, begun = minLook, time.Now()
					continue
				}
				if end != forEver && time.Since(begun) > n.patience {
					err = cmp.Or(err, errBehind)
					yield(nil, fmt.Errorf("this node reads the log up to message %d of %d only: %w", after>>messageBits, end>>messageBits, err))
					return
				}
				t := time.NewTimer(look)
				select {
				case <-woken:
					look = minLook
				case <-t.C:
					look = min(2*look, maxLook)
				case <-ctx.Done():
				}
				t.Stop()
			}
			if ctx.Err() != nil {
				if err := context.Cause(ctx); end != forEver || errors.Is(err, evidence.ErrClosed) {
					yield(nil, err)
				}
				return
			}
		}
	}
}

var errBehind = errors.New("its copy is behind")

// message is one of the log, taken apart.
type message struct {
	last    uint64 // sequence of its last entry
	entries []evidence.Entry
}

// request yields the messages from a number on that the server gives at one
// request, in order and without a gap. No message is no error: this node knows
// the log no further. But if it is thought to, and so is the case for a while
// (stuck), the message is taken from the leader.
func (n *Node) request(ctx context.Context, from uint64, stuck bool) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		// Numbers stand in headers, which take more time than all the rest. They
		// are not needed if there is no gap, which the number of the last one tells.
		msgs, last, err := n.fetch(ctx, from, false)
		gap := err == nil && last != from+uint64(len(msgs))-1
		if gap {
			msgs, _, err = n.fetch(ctx, from, true)
		}
		if s := n.state.Load(); err == nil && len(msgs) == 0 && stuck && s != nil && s.lag == 0 && s.last>>messageBits >= from {
			entries, err := n.ofLeader(ctx, from, errors.New("it cannot be read"))
			yield(message{from << messageBits, entries}, err)
			return
		}
		if err != nil {
			yield(message{}, err)
			return
		}
		next := from
		for _, msg := range msgs {
			num := next
			if gap {
				header := msg.Header.Get(jetstream.SequenceHeader)
				if num, err = strconv.ParseUint(header, 10, 64-messageBits); err != nil || num < next {
					yield(message{}, fmt.Errorf("message %q came where %d was asked for", header, next))
					return
				}
			}
			for ; next < num; next++ { // this copy has lost it, or it was too old: nobody may delete
				entries, err := n.ofLeader(ctx, next, evidence.ErrTrimmed)
				if !yield(message{next << messageBits, entries}, err) || err != nil {
					return
				}
			}
			entries, err := evidence.ReadBatch(msg.Data, num<<messageBits)
			if err != nil {
				entries, err = n.ofLeader(ctx, num, err)
			}
			if !yield(message{num << messageBits, entries}, err) || err != nil {
				return
			}
			next = num + 1
		}
	}
}

// fetch gives the messages from a number on that the server gives at one
// request, with their headers if wanted, and the number of the last of them:
// from-1 if there is none.
func (n *Node) fetch(ctx context.Context, from uint64, headers bool) (msgs []*nats.Msg, last uint64, err error) {
	body, err := json.Marshal(struct {
		Seq       uint64 `json:"seq"`
		Batch     int    `json:"batch"`
		MaxBytes  int    `json:"max_bytes"`
		NoHeaders bool   `json:"no_hdr"`
	}{from, requestMessages, requestBytes, !headers})
	if err != nil {
		return nil, 0, err
	}
	inbox := n.reads.NewRespInbox()
	sub, err := n.reads.SubscribeSync(inbox)
	if err != nil {
		return nil, 0, err
	}
	defer sub.Unsubscribe()
	if err := n.reads.PublishRequest("$JS.API.DIRECT.GET."+n.evidenceStream(), inbox, body); err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, attempt+fetchTime)
	defer cancel()
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, 0, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			msgs = append(msgs, msg)
		case "404":
			return nil, from - 1, nil
		case "204": // the end of what is given at once
			last, err = strconv.ParseUint(msg.Header.Get(jetstream.LastSequenceHeader), 10, 64)
			return msgs, last, err
		default:
			return nil, 0, fmt.Errorf("status %s %s", status, msg.Header.Get("Description"))
		}
	}
}

// ofLeader gives a message that this node's copy of the log lacks or has
// damaged, for the reason given, as the stream's leader has it. If the leader
// has no better one the error is a [*MessageError]; any other may pass.
func (n *Node) ofLeader(ctx context.Context, num uint64, why error) ([]evidence.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	// Not the client's GetMsg, which would ask this node's copy again.
	msg, err := n.reads.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+n.evidenceStream(), fmt.Appendf(nil, `{"seq":%d}`, num))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Message struct{ Data []byte }
		Error   *jetstream.APIError
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, &MessageError{num, why}
		}
		return nil, answer.Error
	}
	entries, err := evidence.ReadBatch(answer.Message.Data, num<<messageBits)
	if err != nil {
		return nil, &MessageError{num, err}
	}
	n.damaged.Do(func() {
		n.log.Error("this node's copy of the log is damaged, and read from its leader where it is: "+
			"stop the node, move its jetstream/ away and start it, and it gets the log from the others", "message", num, "err", why)
	})
	return entries, nil
}
