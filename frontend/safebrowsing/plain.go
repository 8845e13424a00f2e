package safebrowsing

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"headlight.example/frontend/safebrowsing/v4"
)

// Questions about URLs come in bulk, and nearly all of them look the same. Those are
// read here; for all else the reader gives up, and protojson tells what it is. The
// two agree wherever this one does not give up: FuzzPlain holds them to it.

// plain reads JSON from b at i.
type plain struct {
	b []byte
	i int
}

// take skips white space and then the byte x, if it is there.
func (p *plain) take(x byte) bool {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\n', '\r', '\t':
			p.i++
			continue
		case x:
			p.i++
			return true
		}
		break
	}
	return false
}

// text reads a string. What it gives may be a part of b.
func (p *plain) text() ([]byte, bool) {
	if !p.take('"') {
		return nil, false
	}
	start, escaped, high := p.i, false, byte(0)
	for ; p.i < len(p.b) && p.b[p.i] != '"'; p.i++ {
		c := p.b[p.i]
		if c < ' ' {
			return nil, false
		}
		if c == '\\' {
			escaped = true
			p.i++ // what is escaped may be a quote
		}
		high |= c
	}
	if p.i >= len(p.b) {
		return nil, false
	}
	s := p.b[start:p.i]
	p.i++
	if high >= utf8.RuneSelf && !utf8.Valid(s) {
		return nil, false
	}
	if escaped {
		var x string
		if json.Unmarshal(p.b[start-1:p.i], &x) != nil || slices.Contains([]rune(x), utf8.RuneError) {
			return nil, false // half a surrogate pair, say, which json repairs
		}
		s = []byte(x)
	}
	return s, true
}

// object reads an object; member reads the value of one of the names, of which each
// may stand once.
func (p *plain) object(names []string, member func(i int) bool) bool {
	if !p.take('{') {
		return false
	}
	if p.take('}') {
		return true
	}
	seen := 0
	for {
		name, ok := p.text()
		i := slices.Index(names, string(name))
		if !ok || i < 0 || seen&(1<<i) != 0 || !p.take(':') || !member(i) {
			return false
		}
		seen |= 1 << i
		if !p.take(',') {
			return p.take('}')
		}
	}
}

// array reads an array.
func (p *plain) array(element func() bool) bool {
	if !p.take('[') {
		return false
	}
	if p.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if !p.take(',') {
			return p.take(']')
		}
	}
}

// enums reads an array of names, and gives those that stand in known.
func enums[T ~int32](p *plain, known map[string]int32) (all []T, ok bool) {
	ok = p.array(func() bool {
		name, ok := p.text()
		if n, is := known[string(name)]; ok && is {
			all = append(all, T(n))
		}
		return ok
	})
	return all, ok
}

// Names of members.
var (
	ofQuestion = []string{"client", "threatInfo"}
	ofClient   = []string{"clientId", "clientVersion"}
	ofInfo     = []string{"threatTypes", "platformTypes", "threatEntryTypes", "threatEntries"}
	ofEntry    = []string{"url"}
)

// readPlain reads a question about URLs, all but the client's name, which nobody
// wants to know. False: it is not one of those that are read here.
func readPlain(body []byte, q *v4.FindThreatMatchesRequest) bool {
	p := &plain{b: body}
	text := func(int) bool { _, ok := p.text(); return ok }
	ok := p.object(ofQuestion, func(i int) bool {
		if i == 0 {
			return p.object(ofClient, text)
		}
		q.ThreatInfo = new(v4.ThreatInfo)
		return p.info(q.ThreatInfo)
	})
	p.take(0) // white space
	return ok && p.i == len(body)
}

func (p *plain) info(t *v4.ThreatInfo) bool {
	return p.object(ofInfo, func(i int) (ok bool) {
		switch i {
		case 0:
			t.ThreatTypes, ok = enums[v4.ThreatType](p, v4.ThreatType_value)
		case 1:
			t.PlatformTypes, ok = enums[v4.PlatformType](p, v4.PlatformType_value)
		case 2:
			t.ThreatEntryTypes, ok = enums[v4.ThreatEntryType](p, v4.ThreatEntryType_value)
		default:
			ok = p.array(func() bool {
				e := new(v4.ThreatEntry)
				t.ThreatEntries = append(t.ThreatEntries, e)
				return p.object(ofEntry, func(int) bool {
					url, ok := p.text()
					e.Url = string(url)
					return ok
				})
			})
		}
		return ok
	})
}

// appendMatches appends the JSON of a v4.FindThreatMatchesResponse, of matches as
// asked.add makes them of URLs.
func appendMatches(b []byte, all []*v4.ThreatMatch) []byte {
	if len(all) == 0 {
		return append(b, "{}"...)
	}
	b = append(b, `{"matches":[`...)
	for i, m := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"threatType":"`...)
		b = append(b, v4.ThreatType_name[int32(m.ThreatType)]...)
		b = append(b, `","platformType":"`...)
		b = append(b, v4.PlatformType_name[int32(m.PlatformType)]...)
		b = append(b, `","threat":{"url":`...)
		b = appendString(b, m.Threat.Url)
		b = append(b, `},"cacheDuration":"`...)
		b = strconv.AppendInt(b, m.CacheDuration.Seconds, 10)
		b = append(b, `s","threatEntryType":"`...)
		b = append(b, v4.ThreatEntryType_name[int32(m.ThreatEntryType)]...)
		b = append(b, `"}`...)
	}
	return append(b, "]}"...)
}

// appendString appends a string of UTF-8 as JSON (RFC 8259 §7).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
