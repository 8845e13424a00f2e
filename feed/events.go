package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/netmap"
)

// events is our own stream; see [Event]. Its lines carry their times and are
// in order of them, so it is read as it comes, in constant memory.
var events = Format{
	Name:  "events",
	Doc:   "our event stream: JSON lines of reports, sightings and reviews, in order of time",
	Dated: true,
	parser: func(o *Options) parseFunc[evidence.Record] {
		stamps := NewStamper(o.Networks)
		return func(dst []evidence.Record, text string, _ int) ([]evidence.Record, error) {
			if _, err := content(text); err != nil {
				return dst, err
			}
			e, err := ParseEvent(text)
			if err != nil {
				return dst, err
			}
			return o.appendEvent(dst, &e, stamps)
		}
	},
}

// EventType says what an event is.
type EventType uint8

const (
	_ EventType = iota
	// Report is somebody's word, and is learnt as such.
	Report
	// Sighting says only that the link was seen in traffic and, with Addrs,
	// what its host resolved to. Nobody says that it is good.
	Sighting
	// Review is the word of an anchor: its rater is "operator/…".
	Review
)

var eventTypeNames = [...]string{Report: "report", Sighting: "sighting", Review: "review"}

// String gives the word in the stream: "report", "sighting" or "review".
func (t EventType) String() string {
	if t > 0 && int(t) < len(eventTypeNames) {
		return eventTypeNames[t]
	}
	return fmt.Sprintf("EventType(%d)", uint8(t))
}

func parseEventType(s string) (EventType, error) {
	switch s {
	case "report":
		return Report, nil
	case "sighting":
		return Sighting, nil
	case "review":
		return Review, nil
	case "":
		return 0, errors.New("no type")
	}
	return 0, fmt.Errorf("type %.40q: want report, sighting or review", s)
}

// Event is one line of the event stream:
//
//	{"time":"2026-01-02T15:04:05Z","type":"sighting","url":"http://a.example/","addrs":["192.0.2.1"],"ask":true}
//	{"time":"2026-01-02T15:14:05Z","type":"report","rater":"feed/x","url":"http://a.example/","assertion":"phishing"}
//
// Members that are not known are ignored, so that old readers read new
// streams; a type or an assertion that is not known is an error, since to skip
// what somebody said would be to misquote him.
type Event struct {
	Time time.Time // UTC, 1970 to 9999
	Type EventType
	// Rater is whose word it is; "" for a sighting.
	Rater string
	// URL as it was given; see Link.
	URL string
	// Assertion is a threat or Benign; 0 for a sighting.
	Assertion evidence.Assertion
	// Addrs are what the host resolved to, at most MaxAddrs, without zones,
	// IPv4-mapped ones unmapped; nil if there are none.
	Addrs []netip.Addr
	// Ask marks the events whose link is to be judged before the event is learnt.
	Ask bool
	// Line is where in the stream it stands, from 1; 0 if from elsewhere.
	Line int
}

// MaxAddrs bounds the addresses of one event. The most that a year of resolving
// the hosts of bad links has shown is 84.
const MaxAddrs = 128

// Events yields the events of a stream, plain or packed, in its order and in
// constant memory. It can be ranged over once. Errors are as those of
// [Format.Read]: a *LineError is of one line, any other ends the reading.
// The URL of an event is not looked at; [Event.Link] does that.
func Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		parse := func(dst []Event, text string, line int) ([]Event, error) {
			if _, err := content(text); err != nil {
				return dst, err
			}
			e, err := ParseEvent(text)
			if err != nil {
				return dst, err
			}
			e.Line = line
			return append(dst, e), nil
		}
		read(r, DefaultMaxBytes, false, parse, &gate[Event]{yield: yield})
	}
}

// ParseEvent reads one line. The strings of the event are parts of it.
func ParseEvent(line string) (Event, error) {
	var e Event
	if !e.scan(line) {
		e = Event{}
		if err := e.unmarshal(line); err != nil {
			return Event{}, err
		}
	}
	if err := e.validate(); err != nil {
		return Event{}, err
	}
	return e, nil
}

// unmarshal is the way of encoding/json, and decides what is right; scan is
// the short cut for lines as we write them.
func (e *Event) unmarshal(line string) error {
	var w struct {
		Time      time.Time
		Type      string
		Rater     string
		URL       string
		Assertion string
		Addrs     []netip.Addr
		Ask       bool
	}
	err := json.Unmarshal([]byte(line), &w)
	if err != nil {
		return err
	}
	e.Time, e.Rater, e.URL, e.Addrs, e.Ask = w.Time.UTC(), w.Rater, w.URL, w.Addrs, w.Ask
	if e.Type, err = parseEventType(w.Type); err != nil {
		return err
	}
	if w.Assertion != "" {
		e.Assertion, err = parseJudgement(w.Assertion)
	}
	return err
}

// parseJudgement reads the assertions that an event can make.
func parseJudgement(s string) (evidence.Assertion, error) {
	a, err := evidence.ParseAssertion(s)
	if err != nil || !a.Threat() && a != evidence.Benign {
		return 0, fmt.Errorf("assertion %.40q: want phishing, malware, unwanted, spam or benign", s)
	}
	return a, nil
}

// validate checks what both ways of reading leave open, and puts the addresses
// into canonical form.
func (e *Event) validate() error {
	if ms := e.Time.UnixMilli(); ms < 0 || e.Time.Year() > 9999 {
		return errors.New("no time, or one before 1970")
	}
	if e.URL == "" {
		return errors.New("no url")
	}
	if len(e.Addrs) > MaxAddrs {
		return fmt.Errorf("%d addresses: at most %d", len(e.Addrs), MaxAddrs)
	}
	for i, a := range e.Addrs {
		if !a.IsValid() || a.Zone() != "" {
			return fmt.Errorf("address %d is empty or has a zone", i+1)
		}
		e.Addrs[i] = a.Unmap()
	}
	if len(e.Addrs) == 0 {
		e.Addrs = nil
	}
	if e.Type == Sighting {
		if e.Assertion != 0 {
			return errors.New("a sighting asserts nothing")
		}
		return nil
	}
	if e.Assertion == 0 {
		return fmt.Errorf("a %s without an assertion", e.Type)
	}
	if err := evidence.ValidateRater(e.Rater); err != nil {
		return err
	}
	if e.Type == Review && evidence.Role(e.Rater) != "operator" {
		return fmt.Errorf("a review by %.80q, who is no operator", e.Rater)
	}
	return nil
}

// Link parses the URL. Unlike those of lists it may lead anywhere: what was
// seen was seen.
func (e *Event) Link() (link.Link, error) { return link.Parse(e.URL) }

// toldAddrs bounds what is told of the addresses of one event, so that a name
// with a hundred of them cannot blow up the log: a name with many addresses is
// served by any of them, and the first few say where that is.
const toldAddrs = 4

// Records appends what the event says to dst; l is its Link.
//
//	report, review  → the rater's judgement of the URL, in clear
//	sighting        → of each of the first four addresses that the host
//	                  resolved to it, and, if nets knows it and has not told
//	                  it on that day, in which prefix the address was announced
//	                  and by which AS; then Seen of the sealed URL (of the host
//	                  alone if key is nil)
//
// Seen comes last, so that whoever folds it knows by then where the host is.
// A host that is itself an address resolves to nothing, but is announced. The
// subject of a network is the address: which network it is in is a fact of the
// time of the sighting, and would be another if it were looked up later. A nil
// nets knows none.
//
// A rater that calls benign what it called a threat has taken that back: the
// fold sees to it, whatever came between.
func (e *Event) Records(dst []evidence.Record, l link.Link, key *evidence.Key, nets *Stamper) []evidence.Record {
	r := evidence.Record{Time: e.Time, Rater: e.Rater, Assertion: e.Assertion, Count: 1}
	if e.Type != Sighting {
		r.Subject = evidence.Subject{Kind: evidence.URL, Key: l.URL()}
		return append(dst, r)
	}
	host := evidence.Subject{Kind: evidence.Host, Key: l.Host()}
	r.Rater = evidence.SightingRater
	if a, ok := l.Addr(); ok {
		dst = nets.append(dst, r, a, evidence.Subject{})
	} else {
		for _, a := range e.Addrs[:min(len(e.Addrs), toldAddrs)] {
			r.Assertion, r.Subject = evidence.ResolvesTo, host
			r.Object = evidence.Subject{Kind: evidence.Addr, Key: a.String()}
			dst = append(dst, r)
			dst = nets.append(dst, r, a, r.Object)
		}
	}
	r.Assertion, r.Subject, r.Object = evidence.Seen, host, evidence.Subject{}
	if key != nil {
		r.Subject = key.Seal(l)
	}
	return append(dst, r)
}

// Stamper tells in which networks the addresses of a stream of sightings are, of
// each once a day: half of those of a day are of few big hosts. It is for one
// goroutine.
type Stamper struct {
	nets *netmap.Map
	day  int64
	told map[netip.Addr]struct{} // on day
}

// maxTold bounds the addresses of a day that are remembered; then they are told
// again.
const maxTold = 1 << 16

// NewStamper gives one by a table of networks; nil knows none.
func NewStamper(nets *netmap.Map) *Stamper {
	return &Stamper{nets: nets, told: make(map[netip.Addr]struct{})}
}

// append appends which network the address belongs to, where that is known and was
// not told on that day, as r with another subject and object. addr is the subject
// that the address is, or zero if nobody has made it yet.
func (s *Stamper) append(dst []evidence.Record, r evidence.Record, a netip.Addr, addr evidence.Subject) []evidence.Record {
	if s == nil || s.nets == nil {
		return dst
	}
	if day := r.Time.Unix() / 86400; day != s.day || len(s.told) >= maxTold {
		s.day = day
		clear(s.told)
	}
	if _, ok := s.told[a]; ok {
		return dst
	}
	s.told[a] = struct{}{}
	n, ok := s.nets.Lookup(a)
	if !ok {
		return dst
	}
	if addr.Kind == 0 {
		addr = evidence.Subject{Kind: evidence.Addr, Key: a.String()}
	}
	r.Subject = addr
	r.Assertion, r.Object = evidence.AnnouncedIn, evidence.Subject{Kind: evidence.Prefix, Key: n.Prefix.String()}
	dst = append(dst, r)
	r.Assertion, r.Object = evidence.OriginatedBy, evidence.Subject{Kind: evidence.AS, Key: strconv.FormatUint(uint64(n.AS), 10)}
	return append(dst, r)
}

// appendEvent is Records under Options: a stream that is one rater's word may
// speak in no other name.
func (o *Options) appendEvent(dst []evidence.Record, e *Event, nets *Stamper) ([]evidence.Record, error) {
	l, err := e.Link()
	if err != nil {
		return dst, err
	}
	said := len(dst)
	if o.Rater != "" {
		e.Rater = o.Rater
	}
	dst = e.Records(dst, l, o.Key, nets)
	for i := said; i < len(dst); i++ {
		if o.Rater != "" {
			dst[i].Rater = o.Rater
		}
		if o.Lifetime > 0 {
			dst[i].Expires = dst[i].Time.Add(o.Lifetime)
		}
		if err := dst[i].Validate(); err != nil {
			return dst[:said], err
		}
	}
	return dst, nil
}

// AppendJSON appends the event as one line of the stream, without its end.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","type":"`...)
	b = append(b, e.Type.String()...)
	b = append(b, '"')
	if e.Rater != "" {
		b = appendJSONString(append(b, `,"rater":`...), e.Rater)
	}
	b = appendJSONString(append(b, `,"url":`...), e.URL)
	if e.Assertion != 0 {
		b = append(append(append(b, `,"assertion":"`...), e.Assertion.String()...), '"')
	}
	for i, a := range e.Addrs {
		if i == 0 {
			b = append(b, `,"addrs":["`...)
		} else {
			b = append(b, `,"`...)
		}
		b = append(a.AppendTo(b), '"')
	}
	if len(e.Addrs) > 0 {
		b = append(b, ']')
	}
	if e.Ask {
		b = append(b, `,"ask":true`...)
	}
	return append(b, '}')
}

// MarshalJSON implements json.Marshaler by AppendJSON.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// UnmarshalJSON implements json.Unmarshaler by ParseEvent.
func (e *Event) UnmarshalJSON(b []byte) (err error) {
	*e, err = ParseEvent(strings.TrimSpace(string(b)))
	return err
}

func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			q, _ := json.Marshal(s) // a string always marshals
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
