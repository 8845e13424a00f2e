package message

import "strings"

// markup looks at what stands around the link at start..end: if that is
// mark-up which shows the reader something else, f says what.
//
//	[shown](link "title")  ![shown](link)  [shown]: link     Markdown
//	<link|shown>                                            Slack
//	[shown|link]                                            Jira
//	[url=link]shown[/url]  [img]link[/img]                   BBCode
//
// What is shown may be a link itself. It is yielded, too: not every client
// knows the mark-up, and the others let the reader follow it.
func (t *textScan) markup(f *Found, start, end int) {
	s := t.s
	if start < 2 {
		if start == 1 && s[0] == '<' {
			t.slack(f, end)
		}
		return
	}
	switch prev := s[start-1]; prev {
	case '(':
		if s[start-2] == ']' {
			t.markdown(f, start-2)
		}
	case '<':
		if s[start-2] == '(' && start > 2 && s[start-3] == ']' {
			t.markdown(f, start-3)
		} else {
			t.slack(f, end)
		}
	case '|':
		if end < len(s) && (s[end] == ']' || s[end] == '|') {
			t.shown(f, t.bracketed(start-1))
		}
	case '=', '"', '\'':
		t.bbcode(f, start, end)
	case ']':
		if endsFold(s[:start], "[img]") {
			f.Where = Source
		}
	case ' ', ':':
		if at := start - len("]: "); at > 0 && s[at:start] == "]: " {
			t.shown(f, t.bracketed(at))
		} else if s[start-2:start] == "]:" {
			t.shown(f, t.bracketed(start-2))
		}
	}
}

// shown notes what the reader sees in place of the link; nothing if it is "".
// White space around it is not seen.
func (t *textScan) shown(f *Found, text string) {
	if text == "" {
		return
	}
	f.Where = Anchor
	if text = strings.TrimSpace(text); text == f.Raw {
		return
	}
	f.Shown = text
	if !f.Link.IsZero() && mismatch(text, f.Link) {
		f.Marks |= Mismatch
	}
}

// markdown reads the text of a Markdown link whose "]" stands at i. Of an image
// it is the alternative text, and the link is fetched.
func (t *textScan) markdown(f *Found, i int) {
	text := t.bracketed(i)
	f.Where = Anchor
	t.shown(f, text)
	if open := i - len(text) - 1; open > 0 && t.s[open-1] == '!' {
		f.Where = Source
		f.Marks &^= Mismatch
	}
}

// slack reads the text of a link such as <link|text>.
func (t *textScan) slack(f *Found, end int) {
	s := t.s
	if end >= len(s) || s[end] != '|' {
		return
	}
	text := s[end+1 : min(len(s), end+1+maxShown+len(">"))]
	t.steps += len(text)
	if n := strings.IndexAny(text, ">\n"); n >= 0 && text[n] == '>' {
		t.shown(f, text[:n])
	}
}

// bbcode reads the text of a link such as [url=link]text[/url].
func (t *textScan) bbcode(f *Found, start, end int) {
	s, before := t.s, t.s[:start]
	if c := s[start-1]; c != '=' {
		before = before[:start-1]
		if end < len(s) && s[end] == c {
			end++
		}
	}
	if !endsFold(before, "[url=") || end >= len(s) || s[end] != ']' {
		return
	}
	f.Where = Anchor
	text := s[end+1 : min(len(s), end+1+maxShown+len("[/url]"))]
	t.steps += len(text)
	for i := 0; ; i++ {
		n := strings.Index(text[i:], "[/")
		if n < 0 {
			return
		}
		i += n
		if endsFold(text[:min(len(text), i+len("[/url]"))], "[/url]") {
			t.shown(f, text[:i])
			return
		}
	}
}

// bracketed gives what stands between the "]" or "|" at i and the "[" that
// belongs to it, at most maxShown bytes; "" if there is none in the paragraph.
func (t *textScan) bracketed(i int) string {
	s, depth := t.s, 0
	for j := i - 1; j >= 0 && i-j <= maxShown+1; j-- {
		t.steps++
		switch s[j] {
		case ']':
			depth++
		case '[':
			if depth == 0 {
				return s[j+1 : i]
			}
			depth--
		case '\n':
			if j > 0 && s[j-1] == '\n' {
				return ""
			}
		}
	}
	return ""
}
