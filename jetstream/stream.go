package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headlight.example/evidence"
)

// Streams are named PREFIX-evidence and PREFIX-claims, their subjects
// PREFIX.evidence and PREFIX.claims.KEY. On PREFIX.appended the stream's
// leader says that a message was committed.
const defaultPrefix = "headlight"

func (n *Node) evidenceStream() string  { return n.prefix + "-evidence" }
func (n *Node) claimsStream() string    { return n.prefix + "-claims" }
func (n *Node) evidenceSubject() string { return n.prefix + ".evidence" }

// identityKey is where a stream's metadata holds what [Node.Identity] gives.
const identityKey = "headlight.identity"

// retryWindow is how long the cluster remembers the ids of messages, so that
// what is sent again after a doubtful answer is not stored again. An id takes
// some 150 bytes of memory for so long.
const retryWindow = 2 * patience

// maxClaims bounds what claims take on disk; a claim takes about 150 bytes there
// and 460 in memory, so that there are a million, as many as package probe
// remembers. When it is reached, claims are refused.
const maxClaims = 160 << 20

// maxAge is how long the stream keeps a message: a little longer than the nodes keep
// its records, which each drops once a day.
func maxAge(keep time.Duration) time.Duration {
	if keep == 0 {
		return 0 // for ever
	}
	return keep + 48*time.Hour
}

func (n *Node) evidenceConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.evidenceStream(), Description: "what is known of links, by whose word",
		Subjects: []string{n.evidenceSubject()}, Storage: jetstream.FileStorage, Replicas: n.replicas,
		Duplicates: retryWindow, DenyDelete: true, DenyPurge: true, AllowDirect: true, MaxMsgSize: -1,
		Discard: jetstream.DiscardNew,
		// A block that the server compresses may not be readable after kill -9
		// ("s2: corrupt input", nats-server 2.15.3); then it gives up the node's
		// copy of the stream, raft log and all. TestKill showed it within ten rounds.
		Compression: jetstream.NoCompression,
		RePublish:   &jetstream.RePublish{Source: n.evidenceSubject(), Destination: n.prefix + ".appended", HeadersOnly: true},
		Metadata:    map[string]string{identityKey: rand.Text()},
	}
}

func (n *Node) claimsConfig() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: n.claimsStream(), Description: "who may visit, and until when",
		Subjects: []string{n.prefix + ".claims.*"}, Storage: jetstream.FileStorage, Replicas: n.replicas,
		MaxMsgsPerSubject: 1, MaxBytes: maxClaims, Discard: jetstream.DiscardNew, AllowMsgTTL: true, DenyPurge: true,
	}
}

// prepare makes the streams, unless they are there, and tries until it can.
func (n *Node) prepare() {
	for n.ctx.Err() == nil {
		err := n.makeStreams()
		if err == nil {
			close(n.prepared)
			return
		}
		n.waiting.Store(&err)
		n.log.Debug("streams are not there yet", "err", err)
		sleep(n.ctx, 2*pause)
	}
}

func (n *Node) makeStreams() error {
	if _, err := n.makeStream(n.claimsConfig()); err != nil {
		return err
	}
	info, err := n.makeStream(n.evidenceConfig())
	if err != nil {
		return err
	}
	if info.Config.MaxAge != maxAge(n.keep) {
		cfg := info.Config
		cfg.MaxAge = maxAge(n.keep)
		ctx, cancel := context.WithTimeout(n.ctx, attempt)
		defer cancel()
		if _, err := n.js.UpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	if n.identity = info.Config.Metadata[identityKey]; n.identity == "" {
		return fmt.Errorf("stream %s is not Headlight's: it has no %s", info.Config.Name, identityKey)
	}
	if n.dir != "" {
		return bindNodes(n.dir, n.nodes)
	}
	return nil
}

// makeStream creates a stream if there is none of its name. Of several nodes
// that do so at once one is first, and the others take what it has made.
func (n *Node) makeStream(cfg jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(n.ctx, attempt)
	defer cancel()
	stream, err := n.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = n.js.CreateStream(ctx, cfg)
	}
	if err != nil {
		return nil, err
	}
	return stream.CachedInfo(), nil
}

// Identity names this very log: a random word that was made with it. A node
// whose copy of the log has another identity belongs to another cluster. It
// waits until the log is there, and is an error like that of Append if it is not.
func (n *Node) Identity(ctx context.Context) (string, error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if err := n.waitPrepared(ctx); err != nil {
		return "", err
	}
	return n.identity, nil
}

// bound gives a context that ends with the node, and after patience, or reconnect,
// unless the caller has set a deadline himself.
func (n *Node) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); !ok {
		wait := n.patience
		select {
		case <-n.prepared: // it is no start
			if n.majority() != nil {
				wait = min(wait, reconnect)
			}
		default:
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, wait, errNoAnswer)
		return n.mortal(ctx, cancel)
	}
	return n.mortal(context.WithCancel(ctx))
}

// mortal gives a context that ends with the node.
func (n *Node) mortal(ctx context.Context, cancel context.CancelFunc) (context.Context, context.CancelFunc) {
	ctx, cancelCause := context.WithCancelCause(ctx)
	stop := context.AfterFunc(n.ctx, func() { cancelCause(evidence.ErrClosed) })
	return ctx, func() { stop(); cancelCause(nil); cancel() }
}

var errNoAnswer = errors.New("no answer in time")

// waitPrepared waits for the streams.
func (n *Node) waitPrepared(ctx context.Context) error {
	select {
	case <-n.prepared:
		return n.done(ctx, nil)
	case <-ctx.Done():
		return n.done(ctx, nil)
	}
}

// done says why a context of bound ended: the caller's error, that the node is
// closed, or what the cluster lacks. last is what was tried last; nil if nothing.
func (n *Node) done(ctx context.Context, last error) error {
	if ctx.Err() == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, evidence.ErrClosed) || !errors.Is(cause, errNoAnswer) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	why := n.Ready()
	if why == nil {
		why = last
	}
	if why == nil {
		why = errNoAnswer
	}
	if errors.Is(cause, errNoAnswer) {
		return fmt.Errorf("the cluster's log: %w", why)
	}
	return fmt.Errorf("the cluster's log: %w (%w)", why, cause)
}

// sleep waits for d or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
