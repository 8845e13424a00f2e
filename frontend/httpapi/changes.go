package httpapi

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"headlight.example"
)

const (
	changesPath = "/v1/changes"
	// heartbeat is how often a silent stream shows that it lives: more often
	// than proxies give up (60 s is common), and often enough that a client
	// notices a dead connection before its users do.
	heartbeat = 15 * time.Second
	// eventTimeout is how long a listener may take to read what it is sent.
	eventTimeout = 30 * time.Second
)

var eventType = []string{"text/event-stream"}

// changes answers GET /v1/changes: a stream of server-sent events (HTML
// Living Standard, §9.2), one for each link asked about lately whose level has
// since changed.
//
// The id of an event holds when the process started, for the numbers start
// anew with it: who resumes after a restart gets all that is kept. A caller
// without a token is told what he needs to find his own message again, the id
// of the verdict and the host, for the links are those that others asked about.
func (c *call) changes() error {
	if !c.s.listeners.take(1) {
		p := problem(overloaded, "as many listeners are connected as may be")
		p.retryAfter = heartbeat
		return p
	}
	defer c.s.listeners.give(1)
	conn := http.NewResponseController(c.w)
	// The stream outlives the deadlines of a request. Writers that know no
	// deadlines (those of tests) say so; there is nothing to be done.
	conn.SetReadDeadline(time.Time{})
	conn.SetWriteDeadline(time.Time{})
	sub := c.s.svc.Changes()
	defer sub.Close()
	after := c.resumeFrom(sub)
	c.begin(http.StatusOK, eventType)
	if c.r.Method == http.MethodHead {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	c.out = append(c.out[:0], ": listening\n\n"...)
	for {
		after = c.appendChanges(sub.Since(after), after)
		if len(c.out) > 0 {
			conn.SetWriteDeadline(time.Now().Add(eventTimeout))
			if _, err := c.w.Write(c.out); err != nil {
				return nil
			}
			if err := conn.Flush(); err != nil {
				return nil
			}
			c.out = c.out[:0]
		}
		select {
		case <-c.r.Context().Done():
			return nil
		case <-c.s.stop:
			return nil
		case <-sub.Wake():
		case <-beat.C:
			c.out = append(c.out, ": alive\n\n"...)
		}
	}
}

// resumeFrom gives the number after which the caller wants to hear: what it
// heard last, or nothing of the past.
func (c *call) resumeFrom(sub *headlight.Changes) uint64 {
	last := c.r.Header.Get("Last-Event-ID")
	if last == "" {
		return sub.Last()
	}
	start, number, _ := strings.Cut(last, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || start != c.s.start {
		return 0
	}
	return n
}

// appendChanges adds the events to c.out and gives the number of the last.
func (c *call) appendChanges(changes []headlight.Change, after uint64) uint64 {
	b := c.out
	for i := range changes {
		ch := &changes[i]
		if ch.ID > after+1 { // more than are kept
			b = append(b, "event: gap\ndata: {\"missed\":"...)
			b = strconv.AppendUint(b, ch.ID-after-1, 10)
			b = append(b, "}\n\n"...)
		}
		after = ch.ID
		b = append(b, "id: "...)
		b = append(b, c.s.start...)
		b = append(b, '-')
		b = strconv.AppendUint(b, ch.ID, 10)
		b = append(b, "\nevent: change\ndata: "...)
		b = c.appendChange(b, ch)
		b = append(b, "\n\n"...)
	}
	c.out = b
	return after
}

// appendChange writes the event's data, which is one line: JSON strings hold
// no line ends.
func (c *call) appendChange(b []byte, ch *headlight.Change) []byte {
	v := &ch.Verdict
	b = append(b, `{"time":`...)
	b = appendTime(b, ch.Time)
	b = append(b, `,"id":"`...)
	b = appendID(b, c.s.svc.Key(), v.Link)
	b = append(b, `","host":`...)
	b = appendString(b, v.Link.Host())
	b = append(b, `,"from":"`...)
	b = append(b, ch.From.String()...)
	b = append(b, `","to":"`...)
	b = append(b, v.Level.String()...)
	b = append(b, '"')
	if c.token != nil {
		b = append(b, `,"verdict":`...)
		b = append(c.appendVerdict(b, v.Link.String(), v, v.Link), '}')
	}
	return append(b, '}')
}
