package link

import (
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// maxNesting bounds how many wrappers are taken off. Mail that is forwarded
// through several gateways has been seen with three.
const maxNesting = 5

// wrappers.txt is written by hand; its head explains the format.
//
//go:embed wrappers.txt
var wrapperText string

// wrapperRule says how the links below prefix on a host hold another.
type wrapperRule struct {
	name   string
	prefix string
	decode func(w *wrapped) (string, bool)
	params []string
}

// wrapped is a wrapping URL in parts, as written: the canonical form will not
// do, for there an "&" of the inner link looks like one of the outer.
type wrapped struct {
	rule  *wrapperRule
	host  string // canonical
	path  string // after the rule's prefix
	query string
}

var decoders = map[string]func(*wrapped) (string, bool){
	"query":       (*wrapped).fromQuery,
	"base64":      (*wrapped).fromBase64,
	"bing":        (*wrapped).fromBing,
	"domain":      (*wrapped).fromDomain,
	"path":        (*wrapped).fromPath,
	"tail":        (*wrapped).fromTail,
	"bare":        (*wrapped).fromBareQuery,
	"amp":         (*wrapped).fromAMP,
	"underscores": (*wrapped).fromUnderscores,
	"yahoo":       (*wrapped).fromYahoo,
	"translate":   (*wrapped).fromTranslate,
	"proofpoint1": (*wrapped).fromProofpoint1,
	"proofpoint2": (*wrapped).fromProofpoint2,
	"proofpoint3": (*wrapped).fromProofpoint3,
}

// addWrapper reads a line of wrappers.txt: "name host/prefix decoder params".
func (t *nameTable) addWrapper(line string) error {
	f := strings.Fields(line)
	if len(f) < 3 {
		return fmt.Errorf("%q: want name, host and decoder", line)
	}
	host, prefix, _ := strings.Cut(f[1], "/")
	rule := wrapperRule{name: f[0], prefix: "/" + prefix, decode: decoders[f[2]], params: f[3:]}
	if rule.decode == nil {
		return fmt.Errorf("%q: no such decoder", line)
	}
	flag := nameWrapper
	if below, ok := strings.CutPrefix(host, "*."); ok {
		host, flag = below, nameWrapperSub
	}
	e := t.insert(host, flag)
	if e.wrappers == 0 {
		t.wrappers = append(t.wrappers, nil)
		e.wrappers = uint16(len(t.wrappers) - 1)
	}
	t.wrappers[e.wrappers] = append(t.wrappers[e.wrappers], rule)
	return nil
}

// Wrapper reports whether the link's host is one whose links may hold other
// links; if so, Unwrap is worth calling.
func (l Link) Wrapper() bool { return l.bits&isWrapper != 0 }

// Unwrap finds the link inside one that a mail gateway, a social network or a
// search engine has wrapped (Safe Links, Proofpoint, /url?q=, …), and the name
// of the outermost wrapper. Of wrappers inside wrappers it takes off up to five.
//
// It wants the link as written, not the canonical form, which does not tell the
// inner link's "&" from the outer's. The inner link is what the wrapper says: it
// does not replace the outer one, since anyone can write a wrapper's URL.
func Unwrap(raw string) (inner Link, wrapper string, ok bool) {
	for range maxNesting {
		l, err := Parse(raw)
		if err != nil || !l.Wrapper() {
			break
		}
		next, name, found := unwrapOnce(raw, l)
		if !found {
			break
		}
		found = false
		if l, err = Parse(next); err == nil {
			_, isAddr := l.Addr()
			found = isAddr || strings.Contains(l.Host(), ".")
		}
		if !found { // "q=words of a search"
			break
		}
		if !ok {
			wrapper = name
		}
		inner, ok, raw = l, true, next
	}
	return inner, wrapper, ok
}

// unwrapOnce returns the text of the link inside l, which was written as raw.
func unwrapOnce(raw string, l Link) (inner, wrapper string, ok bool) {
	var host lineage
	host.find(l.Host())
	e := host.wrapper
	if e == nil {
		return "", "", false
	}
	path, query := cutRaw(raw)
	for i := range names.wrappers[e.wrappers] {
		r := &names.wrappers[e.wrappers][i]
		if len(path) < len(r.prefix) || !strings.EqualFold(path[:len(r.prefix)], r.prefix) {
			continue
		}
		w := wrapped{r, l.Host(), path[len(r.prefix):], query}
		if inner, ok = r.decode(&w); ok && inner != "" {
			return inner, r.name, true
		}
	}
	return "", "", false
}

// cutRaw parts a URL that Parse has read into path and query, as written but
// for tabs and line ends. The fragment stays: wrappers do not encode it always.
func cutRaw(raw string) (path, query string) {
	text, _ := trim(raw)
	if hasEncodedScheme(text) {
		text = string(decode(nil, text, len(text)))
	}
	_, at, err := cutScheme(text)
	if err != nil {
		return "", ""
	}
	text = text[at:]
	i := indexAuthorityEnd(text)
	if i < 0 {
		return "/", ""
	}
	path, query, _ = strings.Cut(text[i:], "?")
	if path == "" {
		path = "/"
	}
	return path, query
}

// decodeOnce undoes one layer of percent-encoding, as the wrapper's server does.
func decodeOnce(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && unhex[s[i+1]]|unhex[s[i+2]] <= 15 {
			out = append(out, unhex[s[i+1]]<<4|unhex[s[i+2]])
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// param returns the value of the first of the rule's parameters that is there,
// as written. "&amp;" is what plain text copied from HTML has for "&".
func (w *wrapped) param() (string, bool) {
	for _, want := range w.rule.params {
		for part := range strings.SplitSeq(w.query, "&") {
			name, value, ok := strings.Cut(strings.TrimPrefix(part, "amp;"), "=")
			if ok && value != "" && strings.EqualFold(name, want) {
				return value, true
			}
		}
	}
	return "", false
}

// fromQuery: the link is a parameter, percent-encoded.
func (w *wrapped) fromQuery() (string, bool) {
	v, ok := w.param()
	return decodeOnce(v), ok
}

// fromBase64: the link is a parameter in base64, of either alphabet, padded or not.
func (w *wrapped) fromBase64() (string, bool) {
	v, ok := w.param()
	if !ok {
		return "", false
	}
	return decodeBase64(decodeOnce(v))
}

func decodeBase64(s string) (string, bool) {
	s = strings.NewReplacer("+", "-", "/", "_", "=", "", " ", "-").Replace(s)
	b, err := base64.RawURLEncoding.DecodeString(s)
	return string(b), err == nil && utf8.Valid(b)
}

// fromBing: base64 behind "a1".
func (w *wrapped) fromBing() (string, bool) {
	v, ok := w.param()
	v, a1 := strings.CutPrefix(decodeOnce(v), "a1")
	if !ok || !a1 {
		return "", false
	}
	return decodeBase64(v)
}

// fromDomain: only the host of the link is told, in a parameter.
func (w *wrapped) fromDomain() (string, bool) {
	v, ok := w.param()
	v = decodeOnce(v)
	return "http://" + v + "/", ok && !strings.ContainsAny(v, ends)
}

// fromPath: the link, percent-encoded or not, follows the prefix; its query is the
// query then.
func (w *wrapped) fromPath() (string, bool) {
	if w.query != "" {
		return decodeOnce(w.path) + "?" + w.query, true
	}
	return decodeOnce(w.path), true
}

// fromTail: the link is the last segment of the path, percent-encoded.
func (w *wrapped) fromTail() (string, bool) {
	i := strings.LastIndexByte(w.path, '/')
	tail := decodeOnce(w.path[i+1:])
	return tail, strings.Contains(tail, "://")
}

// fromBareQuery: the whole query is the link.
func (w *wrapped) fromBareQuery() (string, bool) {
	link := decodeOnce(w.query)
	return link, strings.Contains(link, "://")
}

// fromAMP: "host/path" follows the prefix, after "s/" if it is https.
func (w *wrapped) fromAMP() (string, bool) {
	rest, secure := strings.CutPrefix(w.path, "s/")
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	if w.query != "" {
		rest += "?" + w.query
	}
	return scheme + rest, strings.Contains(rest, ".")
}

// fromUnderscores: the link stands between "___" and "___." behind the prefix.
func (w *wrapped) fromUnderscores() (string, bool) {
	all := w.path
	if w.query != "" {
		all += "?" + w.query
	}
	_, rest, ok := strings.Cut(all, "___")
	end := strings.LastIndex(rest, "___.")
	if !ok || end < 0 {
		return "", false
	}
	return decodeOnce(rest[:end]), true
}

// fromYahoo: a segment "RU=", percent-encoded.
func (w *wrapped) fromYahoo() (string, bool) {
	for segment := range strings.SplitSeq(w.path, "/") {
		if v, ok := strings.CutPrefix(segment, "RU="); ok {
			return decodeOnce(v), true
		}
	}
	return "", false
}

// fromTranslate: the host is a label of this one, "." written as "-" and "-" as "--".
func (w *wrapped) fromTranslate() (string, bool) {
	label, _, ok := strings.Cut(w.host, ".translate.goog")
	if !ok || strings.Contains(label, ".") {
		return "", false
	}
	host := strings.NewReplacer("--", "-", "-", ".").Replace(label)
	rest := "/" + w.path
	if w.query != "" {
		kept := make([]string, 0, 4)
		for part := range strings.SplitSeq(w.query, "&") {
			if !strings.HasPrefix(part, "_x_tr_") {
				kept = append(kept, part)
			}
		}
		rest += "?" + strings.Join(kept, "&")
	}
	return "https://" + host + rest, true
}

// fromProofpoint1: v1/url?u=, percent-encoded after HTML escaping.
func (w *wrapped) fromProofpoint1() (string, bool) {
	v, ok := w.param()
	return html.UnescapeString(decodeOnce(v)), ok
}

// fromProofpoint2: v2/url?u= has "-" for "%" and "_" for "/", and is HTML-escaped inside.
func (w *wrapped) fromProofpoint2() (string, bool) {
	v, ok := w.param()
	v = strings.NewReplacer("-", "%", "_", "/").Replace(decodeOnce(v))
	return html.UnescapeString(decodeOnce(v)), ok
}

// fromProofpoint3 reads "v3/__LINK__;BYTES!…". Characters of the link that mail programs
// might spoil are replaced: one by "*", a run of two and more by "**" and a
// digit of base 64 for its length, from 2; they stand in order in BYTES, in
// base64url.
//
//	https://urldefense.com/v3/__https://h.example/a*b**A__;Kys7!!… is https://h.example/a+b+;
func (w *wrapped) fromProofpoint3() (string, bool) {
	all := w.path
	if w.query != "" {
		all += "?" + w.query
	}
	end := strings.Index(all, "__;")
	if end < 0 {
		return "", false
	}
	text, rest := decodeOnce(all[:end]), all[end+len("__;"):]
	encoded, _, ok := strings.Cut(rest, "!")
	if !ok {
		return "", false
	}
	replaced, ok := decodeBase64(encoded)
	if !ok {
		return "", false
	}
	text, ok = fillTokens(text, []rune(replaced))
	if !ok {
		return "", false
	}
	// Some programs make "https://" behind a slash "https:/".
	if i := strings.Index(text, ":/"); i > 0 && !strings.HasPrefix(text[i:], "://") {
		text = text[:i] + "://" + text[i+len(":/"):]
	}
	return text, true
}

const runDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// fillTokens puts the replaced characters back; ok is false if they are too few.
func fillTokens(text string, replaced []rune) (filled string, ok bool) {
	var b strings.Builder
	for text != "" {
		i := strings.IndexByte(text, '*')
		if i < 0 {
			break
		}
		b.WriteString(text[:i])
		text = text[i+1:]
		n := 1
		if len(text) >= 2 && text[0] == '*' {
			if d := strings.IndexByte(runDigits, text[1]); d >= 0 {
				n, text = d+2, text[2:]
			}
		}
		if n > len(replaced) {
			return "", false
		}
		b.WriteString(string(replaced[:n]))
		replaced = replaced[n:]
	}
	b.WriteString(text)
	return b.String(), true
}
