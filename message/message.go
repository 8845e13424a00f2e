// Package message finds the links in chat text, SMS, HTML and MIME mail, and
// says of each what the reader sees against where it leads.
//
//	for found, err := range message.Links(message.Text, body) {
//		if err != nil { // a *BoundError: some of the message was not looked at
//			…
//		}
//		verdict := table.Judge(found.Link, policy, now)
//	}
//
// The text is looked at in memory and forgotten: what is yielded holds slices
// of it, so whoever keeps a Found keeps the text. Clone what must live longer.
package message

import (
	"fmt"
	"iter"
	"strings"

	"headlight.example/link"
)

// Type says how a message is to be read.
type Type uint8

const (
	Text Type = iota // plain text, Markdown, chat mark-up
	HTML             // HTML, XHTML, XHTML-IM
	Mail             // a MIME message, RFC 5322 with its headers
)

var typeNames = [...]string{Text: "text/plain", HTML: "text/html", Mail: "message/rfc822"}

// String gives the media type: "text/plain", "text/html" or "message/rfc822".
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// ParseType reads a media type, without parameters, or one of the short words
// "text", "html" and "mail".
func ParseType(s string) (Type, error) {
	switch strings.ToLower(s) {
	case "text/plain", "text":
		return Text, nil
	case "text/html", "application/xhtml+xml", "html":
		return HTML, nil
	case "message/rfc822", "mail":
		return Mail, nil
	}
	return 0, fmt.Errorf("message type %q: want text/plain, text/html or message/rfc822", s)
}

// Found is one place of a message that names a link.
type Found struct {
	// Link is where it leads; the zero Link if Marks says that it leads to no
	// web server (a data: or javascript: URL).
	Link link.Link
	// Raw is the link as written, after transfer and character decoding.
	Raw string
	// Shown is what the reader sees in its place: the text of an anchor, the
	// alternative text of an image. It is "" where the reader sees Raw.
	// At most maxShown bytes.
	Shown string
	// Offset is where Raw begins, in bytes from the start of the decoded part.
	Offset int
	// Part is the number of the MIME part as in IMAP (RFC 9051 §6.4.5.1), such
	// as "1.2"; "" in a message that is no mail.
	Part string
	// Where says in what role the link stands.
	Where Where
	Marks Marks
}

// Where is the role that a link has in its message.
type Where uint8

const (
	InText  Where = iota // written out in running text
	Anchor               // <a href>, <area href>, a Markdown link
	Source               // <img src>, srcset, <link href>, CSS url(): fetched without a click
	Form                 // <form action>, formaction
	Refresh              // <meta http-equiv=refresh>
	Header               // a mail header such as List-Unsubscribe
)

// Marks are properties of a found link that matter to a judge or a reader.
type Marks uint16

const (
	Defanged    Marks = 1 << iota // written as hxxp:// or with [.]: nobody can click it
	Schemeless                    // no scheme was written; clients guess one
	Broken                        // put together from several lines
	Mismatch                      // what is shown names another host than where it leads
	Script                        // a javascript: or vbscript: URL; not followed
	Data                          // a data: URL; not followed
	Unsubscribe                   // from List-Unsubscribe: one-time by nature
)

// BoundError says that part of a message was not looked at.
type BoundError struct {
	Bound     string // which bound: "size", "depth", "parts", "links", "line", …
	Part      string // MIME part, as in Found
	Unscanned int    // bytes not looked at; -1 if not known
}

func (e *BoundError) Error() string {
	s := "message: over the bound of " + e.Bound
	if e.Part != "" {
		s += " in part " + e.Part
	}
	if e.Unscanned >= 0 {
		s += fmt.Sprintf(", %d bytes not scanned", e.Unscanned)
	}
	return s
}

// Links yields the links of a message in the order in which they stand. An
// error is always a *BoundError and says what was left out; more may follow it.
//
// A loop over a text without a link allocates nothing: Links is small enough to
// be inlined, and neither the iterator nor the body of the loop escapes.
func Links(t Type, s string) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) { scan(t, s, yield) }
}

// scan must not let yield escape. Most texts hold no link: what else there is to
// do has functions of its own, so that these pass through as few as can be.
func scan(t Type, s string, yield func(Found, error) bool) {
	if t == HTML || t == Mail {
		scanDocument(t, s, yield)
		return
	}
	text := s
	if len(s) > maxTextPart {
		text = s[:textBound(s)]
	}
	if at := nextSign(text, 0); at < len(text) || len(text) < len(s) {
		eachTextLink(s, text, at, yield)
	}
}

// scanDocument gathers what is found first, because the walkers of HTML and mail
// keep the function that they give it to in structs on the heap. maxFound bounds it.
func scanDocument(t Type, s string, yield func(Found, error) bool) {
	links := htmlLinks(s)
	if t == Mail {
		links = mailLinks(s)
	}
	for _, g := range gather(s, links) {
		if !yield(g.Found, g.err) {
			return
		}
	}
}

type finding struct {
	Found
	err error
}

func gather(s string, links iter.Seq2[Found, error]) []finding {
	const perLink = 768 // bytes of a real mail's HTML for each of its links
	all := make([]finding, 0, min(4+len(s)/perLink, maxFound))
	for f, err := range links {
		all = append(all, finding{f, err})
	}
	return all
}
