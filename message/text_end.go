package message

import "strings"

// maxBracketed bounds what a link holds between brackets. Without it, of many
// links with a bracket that is never closed, each would be read to the end of
// the word and cut at its bracket: quadratic.
const maxBracketed = 512

// pathEnd gives the place where a link that began at start and has been read to
// i ends. A link ends
//
//   - at a space, a control character, < > " ` | or a Unicode space, quote,
//     bracket or full stop such as 。 ， 」 » ”;
//   - at a closing bracket that was not opened in it, and before an opening one
//     that is not closed: (http://a/b_(c)) holds http://a/b_(c);
//   - at the apostrophe or * _ ~ that also stands right before it;
//   - before &lt; &gt; &quot; and BBCode's [/url];
//   - at a comma or semicolon that another link follows;
//   - and not with . , : ; ! ? ' * @, which are the sentence's, nor with an
//     entity such as &nbsp;.
//
// Letters of any script go on a path, as they do in GitHub's and Slack's links:
// they are common in paths (…/wiki/中国), and a wrong guess keeps the host.
func (t *textScan) pathEnd(start, i int) int {
	s, from := t.s, i
	whole := min(len(s), start+maxLink)
	limit := whole
	var before, emphasis byte
	if start > 0 {
		before = s[start-1]
	}
	if before == '*' || before == '_' || before == '~' {
		emphasis = before
	}
	for i < limit && textClass[s[i]]&inPath != 0 && s[i] != emphasis {
		i++
	}
	if i < limit && textClass[s[i]]&endsText != 0 || i == len(s) && i < start+maxLink { // most links
		t.steps += i - from
		return from + len(trimSentence(s[from:i]))
	}
	var open, at [3]int // by bracket: how many are open, and where the first stands
scan:
	for {
		for i < limit && textClass[s[i]]&inPath != 0 && s[i] != emphasis {
			i++
		}
		if i >= limit {
			break
		}
		c := s[i]
		class := textClass[c]
		switch {
		case c == emphasis && c != 0 && !closesEmphasis(s, i):
			i++
		case c == ',' && !linkFollows(s, i+1) || c == ';' && !linkFollows(s, i+1):
			i++
		case class&endsText != 0:
			break scan
		case c >= 0x80:
			kind, n := readRune(s[i:])
			if kind == stopRune || kind == dotRune {
				break scan
			}
			i += n
		case class&opensBracket != 0:
			if c == '[' && i+1 < limit && s[i+1] == '/' {
				break scan
			}
			k := (c >> 5) % 3 // ( [ { are 0x28, 0x5b, 0x7b, and their counterparts near them
			if open[k] == 0 {
				at[k] = i
				limit = min(limit, i+maxBracketed)
			}
			open[k]++
			i++
		case class&closesBracket != 0:
			k := (c >> 5) % 3
			if open[k] == 0 {
				break scan
			}
			open[k]--
			i++
			if open == [3]int{} {
				limit = whole
			}
		case c == '\'' && before != '\'' || c == '&' && !markupEntity(s[i:]):
			i++
		default:
			break scan
		}
	}
	t.steps += i - from
	for k, n := range open {
		if n > 0 && at[k] < i {
			i = at[k]
		}
	}
	if i-start >= maxLink {
		return start + maxLink // cut; found reports it
	}
	return from + len(trimSentence(s[from:i]))
}

// linkFollows reports whether s[i:] begins with a web link.
func linkFollows(s string, i int) bool {
	s = s[i:min(len(s), i+len("https://"))]
	return len(s) >= len("http://") && (strings.EqualFold(s[:len("http://")], "http://") || strings.EqualFold(s, "https://"))
}

// markupEntity reports whether s begins with one of the entities that stand for
// what ends a link.
func markupEntity(s string) bool {
	return strings.HasPrefix(s, "&lt;") || strings.HasPrefix(s, "&gt;") || strings.HasPrefix(s, "&quot;")
}

// closesEmphasis reports whether the mark at i may close emphasis: no letter or
// digit follows.
func closesEmphasis(s string, i int) bool {
	return i+1 == len(s) || textClass[s[i+1]]&inName == 0 && s[i+1] != '/'
}

// trimSentence cuts from the end of a link what belongs to the sentence.
func trimSentence(s string) string {
	for s != "" {
		switch c := s[len(s)-1]; c {
		case '.', ',', ':', '!', '?', '\'', '*', '@':
			s = s[:len(s)-1]
		case ';':
			s = trimEntity(s[:len(s)-1])
		default:
			if c < 0x80 || !endsInvisible(s) {
				return s
			}
			_, n := lastRune(s)
			s = s[:len(s)-n]
		}
	}
	return s
}

// trimEntity cuts "&name" from the end, as GitHub's Markdown does.
func trimEntity(s string) string {
	i := len(s)
	for i > 0 && len(s)-i < 8 && textClass[s[i-1]]&inName != 0 && s[i-1] < 0x80 {
		i--
	}
	if i < len(s) && i > 0 && s[i-1] == '&' {
		return s[:i-1]
	}
	return s
}

// endsInvisible reports whether s ends with a character of no width, which is
// the text's own when it stands at the end of a link.
func endsInvisible(s string) bool {
	for _, r := range [...]string{"\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202b",
		"\u202c", "\u202d", "\u202e", "\u2060", "\u2066", "\u2067", "\u2068", "\u2069", "\ufe0f", "\ufeff"} {
		if strings.HasSuffix(s, r) {
			return true
		}
	}
	return false
}

// unbroken puts a link together that stands in < > on several lines, as RFC
// 3986 appendix C has it: line breaks and the spaces around them are not part
// of it. past is the place behind it; 0 if what begins at start is no such link.
func (t *textScan) unbroken(start, end int) (whole string, past int) {
	s := t.s
	if end >= len(s) || s[end] != '\n' && s[end] != '\r' {
		return "", 0
	}
	var b strings.Builder
	from := start
	i := end
	for i < len(s) && i-start < maxLink {
		switch c := s[i]; {
		case c == '>':
			t.steps += i - end
			b.WriteString(s[from:i])
			return b.String(), i
		case c == '\r' || c == '\n':
			b.WriteString(s[from:i])
			if strings.HasPrefix(s[i:], "\r\n") {
				i++
			}
			for i++; i < len(s) && (s[i] == ' ' || s[i] == '\t'); i++ {
			}
			if i < len(s) && (s[i] == '\r' || s[i] == '\n') {
				t.steps += i - end
				return "", 0 // an empty line
			}
			from = i
		case textClass[c]&endsText != 0:
			t.steps += i - end
			return "", 0
		default:
			i++
		}
	}
	t.steps += i - end
	return "", 0
}

// broken yields a link that was put together.
func (t *textScan) broken(start, end int, whole string) int {
	if textClass[whole[len(whole)-1]]&endsText != 0 {
		return end
	}
	next := t.found(start, end, whole, Broken)
	return next
}
