package milter

import (
	"net/url"

	"headlight.example/link"
	"headlight.example/message"
)

// maxChunk is how much of a body one packet replaces: what libmilter's
// smfi_replacebody sends at once (MILTER_CHUNK_SIZE).
const maxChunk = 65535

// rewrite sends a body in which the bad links lead nowhere, if there can be one. The
// error is that of sending. What cannot be rewritten stays as it is.
func (c *session) rewrite(v *verdict) error {
	body, done := c.defanged(v)
	v.rewritten = done
	for body != "" {
		n := min(len(body), maxChunk)
		c.add(replyBody, []byte(body[:n]))
		if err := c.flush(); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// defanged gives the body anew, "" if it is to stay, and how many of the bad links it
// makes inert: "all", "some" or "none".
func (c *session) defanged(v *verdict) (body, done string) {
	m := &c.mail
	if m.over != "" || c.actions&actChangeBody == 0 {
		return "", "none" // who has not seen all of it cannot write it anew
	}
	if len(m.text) > freeBytes {
		// The mail decoded, and the mail as it will be.
		held := 2 * int64(len(m.text))
		if c.s.memory.Add(-held) < 0 {
			c.s.memory.Add(held)
			return "", "none"
		}
		m.held += held // until the end of the mail
	}
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			body, done = "", "none"
		}
	}()
	text := m.string()
	out, left, err := message.Defang(text, func(l link.Link) (string, bool) {
		host, bad := v.bad[l.String()]
		if !bad || c.s.cfg.Lookup == "" {
			return "", bad
		}
		return c.s.cfg.Lookup + url.QueryEscape(host), true
	})
	switch {
	case err != nil, out[:m.bodyAt] != text[:m.bodyAt], left > 0 && out == text:
		return "", "none"
	case out == text: // they were inert before
		return "", "all"
	case left > 0, v.unscanned != "":
		done = "some"
	default:
		done = "all"
	}
	return out[m.bodyAt:], done
}
