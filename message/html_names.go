package message

// A nameTable finds the few element and attribute names that matter among all
// that a document holds. A name of up to eight bytes is one word, folded to
// lower case, so that most names cost one probe and no comparison of strings.
type nameTable struct {
	keys  [256]uint64
	vals  [256]uint32
	names [256]string
}

// nameKey packs the first eight bytes of a name, letters folded. Folding by
// |0x20 lets a few bytes that are no letters collide with one another, never
// with a letter, so no forged name passes for a real one. No byte becomes 0,
// so names of different lengths differ.
func nameKey(s string) uint64 {
	var k uint64
	for i := 0; i < len(s) && i < 8; i++ {
		k |= uint64(s[i]|0x20) << (8 * i)
	}
	return k
}

func (t *nameTable) slot(key uint64) uint8 {
	return uint8(key * 0x9E3779B97F4A7C15 >> 56) // Fibonacci hashing
}

func newNameTable(names map[string]uint32) *nameTable {
	t := new(nameTable)
	for name, val := range names {
		i := t.slot(nameKey(name))
		for t.keys[i] != 0 {
			i++
		}
		t.keys[i], t.vals[i], t.names[i] = nameKey(name), val, name
	}
	return t
}

// lookup gives the value of name, whose key is key; 0 if it is not in the
// table. Two names with the same first eight bytes may both be in the table.
func (t *nameTable) lookup(key uint64, name string) uint32 {
	for i := t.slot(key); t.keys[i] != 0; i++ {
		if t.keys[i] == key && (len(name) <= 8 && len(t.names[i]) <= 8 || foldedEqual(name, t.names[i])) {
			return t.vals[i]
		}
	}
	return 0
}

// foldedEqual compares s with lower, which is in lower case, in ASCII.
func foldedEqual(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// What an element is to us.
const (
	elBlock   uint32 = 1 << iota // starts a new line or box: text before it does not join text behind it
	elAnchor                     // its content is what the reader clicks
	elCell                       // a table cell: an anchor does not reach out of it
	elScript                     // raw text, a script
	elStyle                      // raw text, a style sheet
	elText                       // raw text that is shown
	elMaybe                      // raw text to some clients, markup to others
	elBreak                      // wbr: a place where a word may break, and no gap
	elFetched                    // its href is fetched, not clicked
	elMeta
	elImage
	elObject
	elBase
	elRaw = elScript | elStyle | elText | elMaybe
)

// Bits from here on tell the raw elements apart.
const elRaw0 = 1 << 16

var elements = newNameTable(elementNames())

func elementNames() map[string]uint32 {
	names := map[string]uint32{
		"a": elAnchor, "wbr": elBreak, "base": elBase, "meta": elMeta, "link": elFetched,
		"td": elBlock | elCell, "th": elBlock | elCell, "caption": elBlock | elCell,
		"img": elBlock | elImage, "area": elImage, "input": elBlock | elImage,
		// In SVG these take href for what they draw.
		"image": elBlock | elImage | elFetched, "use": elFetched, "feimage": elFetched, "pattern": elFetched,
		"object": elBlock | elObject, "embed": elBlock | elObject,
		// HTML §13.2.6.4.4 and others: their content is not markup.
		"script": elScript | elRaw0, "style": elStyle | elRaw0<<1, "xmp": elBlock | elText | elRaw0<<2,
		"title": elBlock | elText | elRaw0<<3, "textarea": elBlock | elText | elRaw0<<4,
		"iframe": elBlock | elMaybe | elRaw0<<5, "noembed": elBlock | elMaybe | elRaw0<<6,
		"noframes": elBlock | elMaybe | elRaw0<<7, "noscript": elMaybe | elRaw0<<8,
	}
	// HTML §15.3 gives these display: block, list-item or a part of a table;
	// the last ones are boxes of their own.
	for _, name := range []string{
		"address", "article", "aside", "blockquote", "body", "br", "center", "dd", "details", "dialog", "dir", "div",
		"dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head",
		"header", "hgroup", "hr", "html", "legend", "li", "listing", "main", "menu", "nav", "ol", "optgroup",
		"option", "p", "plaintext", "pre", "search", "section", "select", "summary", "table", "tbody", "tfoot",
		"thead", "tr", "ul", "col", "colgroup", "frame", "frameset", "marquee",
		"audio", "button", "canvas", "svg", "video",
	} {
		names[name] |= elBlock
	}
	return names
}

// What an attribute is to us.
const (
	attrNone uint32 = iota
	attrHref
	attrSrc    // one URL, fetched
	attrSrcset // candidates, fetched
	attrAction
	attrData    // of object
	attrPing    // a list of URLs, fetched on a click
	attrStyle   // CSS
	attrContent // of meta
	attrHTTPEquiv
	attrAlt
	attrSrcdoc  // a document in an attribute
	attrHandler // a script
)

var attributes = newNameTable(map[string]uint32{
	"href": attrHref, "xlink:href": attrHref,
	"src": attrSrc, "background": attrSrc, "poster": attrSrc, "lowsrc": attrSrc, "dynsrc": attrSrc,
	"o:href": attrSrc, // Word fetches a v:imagedata from here
	"srcset": attrSrcset, "imagesrcset": attrSrcset,
	"action": attrAction, "formaction": attrAction,
	"data": attrData, "ping": attrPing, "style": attrStyle,
	"content": attrContent, "http-equiv": attrHTTPEquiv,
	"alt": attrAlt, "srcdoc": attrSrcdoc,
})
