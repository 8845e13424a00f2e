package httpapi

import (
	"headlight.example"
	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// appendFinding appends the members of what is thought of a link, without the
// closing brace, so that more may follow. The id of a wrapped link is that of
// the link inside, whose level may change.
func (c *call) appendFinding(b []byte, given string, f *headlight.Finding) []byte {
	if f.Inner.IsZero() {
		return c.appendVerdict(b, given, &f.Verdict, f.Verdict.Link)
	}
	b = c.appendVerdict(b, given, &f.Verdict, f.Inner)
	b = append(b, `,"inner":`...)
	b = appendString(b, f.Inner.String())
	b = append(b, `,"wrapper":`...)
	return appendString(b, f.Wrapper)
}

// appendVerdict appends the members of a verdict on what was given as a link,
// with the id of another link or the same.
func (c *call) appendVerdict(b []byte, given string, v *reputation.Verdict, id link.Link) []byte {
	b = append(b, `{"link":`...)
	b = appendString(b, given)
	b = append(b, `,"canonical":`...)
	b = appendString(b, v.Link.String())
	b = append(b, `,"level":"`...)
	b = append(b, v.Level.String()...)
	b = append(b, `","threat":"`...)
	if v.Threat.Threat() {
		b = append(b, v.Threat.String()...)
	}
	b = append(b, `","score":`...)
	b = appendNumber(b, v.Score)
	b = append(b, `,"reasons":[`...)
	reasons := v.Reasons()
	for i := range reasons {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendReason(b, &reasons[i])
	}
	b = append(b, `],"expires":`...)
	b = appendTime(b, v.Expires)
	b = append(b, `,"id":"`...)
	if !id.IsZero() {
		b = appendID(b, c.s.svc.Key(), id)
	}
	return append(b, '"')
}

// appendError appends the members of a verdict on what is no link.
func appendError(b []byte, given, reason string) []byte {
	b = append(b, `{"link":`...)
	b = appendString(b, given)
	b = append(b, `,"canonical":"","level":"unknown","threat":"","score":0,"reasons":[],"expires":"","id":"","error":`...)
	return appendString(b, reason)
}

func (c *call) appendReason(b []byte, r *reputation.Reason) []byte {
	b = append(b, `{"subject":`...)
	b = appendAbout(b, r.About(), r.Basis, r.Marker)
	b = append(b, `,"weight":`...)
	b = appendNumber(b, r.Weight)
	b = append(b, `,"bad":`...)
	b = appendNumber(b, r.Bad)
	b = append(b, `,"good":`...)
	b = appendNumber(b, r.Good)
	raters := c.raters(r.Raters)
	b = append(b, `,"raters":`...)
	b = appendStrings(b, raters)
	b = append(b, `,"text":`...)
	b = appendString(b, Sentence(r, raters))
	return append(b, '}')
}

// appendAbout writes what a reason or a rung is about: a subject, or what has
// the form of one.
func appendAbout(b []byte, s evidence.Subject, basis reputation.Basis, m reputation.Marker) []byte {
	kind, key := "", ""
	switch basis {
	case reputation.Alike:
		kind, key = "marker", m.String()
	case reputation.Spelling:
		kind, key = "spelling", "words and runs of letters"
	case reputation.Shown:
		kind, key = "server", "what it showed when it was visited"
	case reputation.Usual:
		kind, key = "usual", "links of whose host as much is known"
	default:
		return appendSubject(b, s)
	}
	b = append(b, `{"kind":"`...)
	b = append(b, kind...)
	b = append(b, `","key":`...)
	return append(appendString(b, key), '}')
}

func appendSubject(b []byte, s evidence.Subject) []byte {
	b = append(b, `{"kind":"`...)
	b = append(b, s.Kind.String()...)
	b = append(b, `","key":`...)
	b = appendString(b, s.Key)
	return append(b, '}')
}

// raters names the groups behind bits as far as the caller may know them.
func (c *call) raters(bits uint32) []string {
	if bits == 0 {
		return nil
	}
	names := c.s.svc.RaterNames(bits)
	shown := names[:0:0]
	for _, name := range names {
		name = c.mayKnow(name)
		if len(shown) == 0 || shown[len(shown)-1] != name {
			shown = append(shown, name)
		}
	}
	return shown
}

// mayKnow gives the rater's name, or for people only their role: who reports a
// gang's page need not fear it. Operators see the names, since they must judge
// the raters; so does the rater himself.
func (c *call) mayKnow(rater string) string {
	if role := evidence.Role(rater); role == "user" && !c.token.operator() && (c.token == nil || rater != c.token.Rater) {
		return role
	}
	return rater
}

// appendID appends the stable handle of a link: 13 digits, which after "#" are
// the key of a URL subject that does not tell the URL. It is the last part of
// what evidence.Key.Seal makes.
func appendID(b []byte, k *evidence.Key, l link.Link) []byte {
	return appendHash(b, k.Hash(evidence.URL, l.URL()))
}

func appendHash(b []byte, h uint64) []byte {
	const digits = "0123456789abcdefghjkmnpqrstvwxyz"
	for shift := 59; shift >= 0; shift -= 5 {
		b = append(b, digits[h>>shift&31])
	}
	return append(b, digits[h<<1&31])
}
