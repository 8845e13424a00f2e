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
	rewritten string            // of its bad links: "all", "some" (at least) or "none"; "" if they were not to be
	bad       map[string]string // the links to be rewritten, and the hosts that they are about
}

// judge finds and judges the links of the mail.
func (c *session) judge() (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			v = verdict{level: reputation.Unknown, unscanned: "fault"}
		}
	}()
	scan := c.s.svc.CheckMessage(message.Mail, c.mail.string())
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
		if !f.Link.IsZero() && c.s.cfg.of(f.Verdict.Level) == Rewrite {
			if v.bad == nil {
				v.bad = make(map[string]string)
			}
			v.bad[f.Link.String()] = about(f).Host()
		}
	}
	if l := v.link(); !l.IsZero() {
		v.id = c.s.svc.ID(l)
	}
	return v
}

// panicked tells the operator of a bug. What is panicked with may hold the mail's
// text, unless the runtime made it.
func (c *session) panicked(p any) {
	attrs := []any{"stack", string(debug.Stack())}
	if e, ok := p.(runtime.Error); ok {
		attrs = append(attrs, "err", e)
	}
	c.s.log.Error("mail passed, as looking at it panicked", attrs...)
}

// string is the text of the mail, which is not to be changed from here on.
func (m *mail) string() string { return unsafe.String(unsafe.SliceData(m.text), len(m.text)) }

// link is the one that the verdict is about.
func (v *verdict) link() link.Link { return about(&v.worst) }

// about is the link that a finding is about: of a wrapped one that inside.
func about(f *headlight.Finding) link.Link {
	if !f.Inner.IsZero() {
		return f.Inner
	}
	return f.Verdict.Link
}

func (v *verdict) threat() string {
	if t := v.worst.Verdict.Threat; t.Threat() {
		return t.String()
	}
	return ""
}

// of is what becomes of mails of a level.
func (cfg *Config) of(l reputation.Level) Action {
	switch l {
	case reputation.Suspicious:
		return cfg.Suspicious
	case reputation.Dangerous:
		return cfg.Dangerous
	}
	return Tag
}

// action is what becomes of the mail.
func (c *session) action(v *verdict) Action {
	action := c.s.cfg.of(v.level)
	if c.mail.recipients > 0 && c.mail.exempt == c.mail.recipients {
		action = Tag
	}
	if action == Quarantine && c.actions&actQuarantine == 0 {
		action = Tag
	}
	return action
}

// decide judges the mail and answers what is to be done with it.
func (c *session) decide() error {
	if c.mail.own > maxForged || len(c.mail.forged) > maxForged {
		// To pass it with forged fields in it would be to vouch for them.
		c.s.log.Info("mail rejected for its many forged fields", "queue", c.queue)
		c.add(replyCode, fmt.Appendf(nil, "550 5.7.1 Message refused: it has more than %d %s fields\x00", maxForged, fieldName))
		return nil
	}
	v := c.judge()
	action := c.action(&v)
	if action == Rewrite {
		if err := c.rewrite(&v); err != nil {
			return err
		}
		if v.rewritten == "none" {
			action = Tag
		}
	}
	c.s.metrics.judged(v.level, action)
	if v.unscanned != "" {
		c.s.metrics.unscanned.Inc()
	}
	host := v.link().Host()
	if action != Tag {
		c.s.log.Info("mail "+[...]string{Rewrite: "rewritten", Quarantine: "quarantined", Reject: "rejected"}[action],
			"queue", c.queue, "level", v.level.String(), "threat", v.threat(), "host", host, "id", v.id)
	}
	if action == Reject {
		c.add(replyCode, c.refusal(&v))
		return nil
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
	return nil
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
	param("rewritten", v.rewritten)
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
