package milter

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"unsafe"

	"headlight.example"
	"headlight.example/link"
	"headlight.example/message"
	"headlight.example/reputation"
)

const (
	fieldName   = "X-Headlight"
	resultsName = "Authentication-Results"
	method      = "x-headlight" // in resultsName, in small letters
)

// verdict is what is thought of a mail.
type verdict struct {
	level     reputation.Level
	links     int
	worst     headlight.Finding // zero if there are no links
	id        string            // of the worst link; "" if it leads to no server
	unscanned string            // what bound it is over; "" if none
}

// judge finds and judges the links of the mail.
func (c *session) judge() (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			// What is panicked with may hold the mail's text, unless the
			// runtime made it.
			attrs := []any{"stack", string(debug.Stack())}
			if e, ok := p.(runtime.Error); ok {
				attrs = append(attrs, "err", e)
			}
			c.s.log.Error("mail passed, as looking at it panicked", attrs...)
			v = verdict{level: reputation.Unknown, unscanned: "fault"}
		}
	}()
	scan := c.s.svc.CheckMessage(message.Mail, unsafe.String(unsafe.SliceData(c.mail.text), len(c.mail.text)))
	v = verdict{level: scan.Level, links: len(scan.Links), unscanned: c.mail.over}
	if v.unscanned == "" && len(scan.Unscanned) > 0 {
		v.unscanned = scan.Unscanned[0].Bound
	}
	if v.unscanned != "" {
		v.level = max(v.level, reputation.Unknown)
	}
	for i := range scan.Links {
		f := &scan.Links[i]
		if i == 0 || f.Verdict.Level > v.worst.Verdict.Level ||
			f.Verdict.Level == v.worst.Verdict.Level && f.Verdict.Score > v.worst.Verdict.Score {
			v.worst = *f
		}
	}
	if l := v.link(); !l.IsZero() {
		v.id = c.s.svc.ID(l)
	}
	return v
}

// link is the one that the verdict is about: of a wrapped one that inside.
func (v *verdict) link() link.Link {
	if !v.worst.Inner.IsZero() {
		return v.worst.Inner
	}
	return v.worst.Verdict.Link
}

func (v *verdict) threat() string {
	if t := v.worst.Verdict.Threat; t.Threat() {
		return t.String()
	}
	return ""
}

// action is what becomes of the mail.
func (c *session) action(v *verdict) Action {
	action := Tag
	switch v.level {
	case reputation.Suspicious:
		action = c.s.cfg.Suspicious
	case reputation.Dangerous:
		action = c.s.cfg.Dangerous
	}
	if c.mail.recipients > 0 && c.mail.exempt == c.mail.recipients {
		action = Tag
	}
	if action == Quarantine && c.actions&actQuarantine == 0 {
		action = Tag
	}
	return action
}

// decide judges the mail and answers what is to be done with it.
func (c *session) decide() {
	if c.mail.own > maxForged || len(c.mail.forged) > maxForged {
		// To pass it with forged fields in it would be to vouch for them.
		c.s.log.Info("mail rejected for its many forged fields", "queue", c.queue)
		c.add(replyCode, fmt.Appendf(nil, "550 5.7.1 Message refused: it has more than %d %s fields\x00", maxForged, fieldName))
		return
	}
	v := c.judge()
	action := c.action(&v)
	c.s.metrics.judged(v.level, action)
	if v.unscanned != "" {
		c.s.metrics.unscanned.Inc()
	}
	host := v.link().Host()
	if action != Tag {
		c.s.log.Info("mail "+[...]string{Quarantine: "quarantined", Reject: "rejected"}[action],
			"queue", c.queue, "level", v.level.String(), "threat", v.threat(), "host", host, "id", v.id)
	}
	if action == Reject {
		c.add(replyCode, c.refusal(&v))
		return
	}
	c.removeForged()
	if c.actions&actAddFields != 0 {
		c.insert(fieldName, v.field())
		c.insert(resultsName, v.results(c.authority()))
	}
	if action == Quarantine {
		c.add(replyQuarantine, v.reason(), []byte{0})
	}
	c.add(replyAccept)
}

// removeForged removes the fields that speak for us, the last first, since each
// moves those behind it.
func (c *session) removeForged() {
	if c.actions&actChangeFields == 0 {
		return
	}
	for n := c.mail.own; n > 0; n-- {
		c.remove(fieldName, n)
	}
	for i := len(c.mail.forged) - 1; i >= 0; i-- {
		c.remove(resultsName, c.mail.forged[i])
	}
}

func (c *session) remove(name string, n int) {
	c.add(replyChange, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, []byte(name), []byte{0, 0})
}

// insert puts a field on top of the header.
func (c *session) insert(name string, value []byte) {
	c.add(replyInsert, []byte{0, 0, 0, 0}, []byte(name), []byte{0}, value, []byte{0})
}

// authority is in whose name the results are told, RFC 8601 §2.5.
func (c *session) authority() string {
	if c.server != "" {
		return c.server
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}

// field is the value of X-Headlight: the level first, so that a rule of a mail
// filter may ask what the field begins with.
func (v *verdict) field() []byte {
	b := []byte(v.level.String())
	param := func(name, value string) {
		if value != "" {
			b = append(b, "; "...)
			b = append(b, name...)
			b = append(b, '=')
			b = appendValue(b, value)
		}
	}
	param("threat", v.threat())
	param("host", v.link().Host())
	param("id", v.id)
	param("unscanned", v.unscanned)
	return b
}

// results is the value of Authentication-Results, RFC 8601 §2.2. The words for
// levels are those that SPF has for its results.
func (v *verdict) results(authority string) []byte {
	result := map[reputation.Level]string{
		reputation.Safe: "pass", reputation.Unknown: "neutral", reputation.Suspicious: "softfail", reputation.Dangerous: "fail",
	}[v.level]
	if v.links == 0 && v.unscanned == "" {
		result = "none"
	}
	b := appendValue(nil, authority)
	b = append(b, "; "+method+"="...)
	b = append(b, result...)
	for _, p := range [...][2]string{{"level", v.level.String()}, {"threat", v.threat()}, {"host", v.link().Host()}, {"id", v.id}} {
		if p[1] != "" {
			b = append(b, "\n\tpolicy."...)
			b = append(b, p[0]...)
			b = append(b, '=')
			b = appendValue(b, p[1])
		}
	}
	return b
}

// reason says in a sentence what was found, for the sender or the postmaster.
func (v *verdict) reason() []byte {
	b := []byte("its link to ")
	if host := v.link().Host(); host != "" {
		b = appendPrintable(b, host)
	} else {
		b = append(b, "no server"...)
	}
	b = append(b, " is "...)
	b = append(b, v.level.String()...)
	if t := v.threat(); t != "" {
		b = append(b, " ("...)
		b = append(b, t...)
		b = append(b, ')')
	}
	if v.id != "" {
		b = append(b, ", id "...)
		b = append(b, v.id...)
	}
	return b
}

// refusal is the SMTP reply. A "%" is doubled, for Sendmail formats it.
func (c *session) refusal(v *verdict) []byte {
	text := append([]byte("Message refused: "), v.reason()...)
	if c.s.cfg.Contact != "" {
		text = append(text, "; ask "...)
		text = appendPrintable(text, c.s.cfg.Contact)
	}
	b := []byte("550 5.7.1 ")
	for _, ch := range text {
		if ch == '%' {
			b = append(b, '%')
		}
		b = append(b, ch)
	}
	return append(b, 0)
}

// maxValue bounds what is said of a host. A name has at most 253 bytes.
const maxValue = 253

// appendValue appends a parameter's value, a token or a quoted string, RFC 2045
// §5.1.
func appendValue(b []byte, v string) []byte {
	v = string(appendPrintable(nil, v))
	for i := range len(v) {
		if c := v[i]; c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return strconv.AppendQuote(b, v)
		}
	}
	if v == "" {
		return append(b, `""`...)
	}
	return append(b, v...)
}

// appendPrintable appends what is printable ASCII; other bytes become "?".
func appendPrintable(b []byte, v string) []byte {
	for i := range min(len(v), maxValue) {
		c := v[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}
