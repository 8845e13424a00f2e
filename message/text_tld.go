package message

import (
	"slices"
	"strings"

	"headlight.example/link"
)

// maxTLD bounds a top-level domain, in bytes: the longest has 24.
const maxTLD = 24

// isTLD reports whether an ASCII label, in any case, is a top-level domain of
// the public suffix list.
func isTLD(label string) bool {
	if len(label) < 2 || len(label) > maxTLD {
		return false
	}
	// With a name before it, for some are listed as "*.ck" alone.
	var host [len("x.") + maxTLD]byte
	host[0], host[1] = 'x', '.'
	for i := range len(label) {
		c := label[i]
		if !isAlpha(c) && (i < 2 || label[2:min(4, len(label))] != "--") {
			return false
		}
		host[2+i] = lower(c)
	}
	_, listed := link.PublicSuffix(string(host[:2+len(label)]))
	return listed
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// oneOf reports whether an ASCII label, in any case, is one of a sorted list.
func oneOf(label string, sorted []string) bool {
	_, found := slices.BinarySearchFunc(sorted, label, func(a, b string) int {
		for i := range min(len(a), len(b)) {
			if d := int(a[i]) - int(lower(b[i])); d != 0 {
				return d
			}
		}
		return len(a) - len(b)
	})
	return found
}

// doubtful reports whether a schemeless host with neither port nor path is
// likelier something else. What stands at start..end is the host, at last..end
// its top-level domain; next is the byte behind it, or 0.
//
// The measure is what a reader could click on: most clients link any word.word
// that ends in a top-level domain, "pain.it" too, so that is found here. Only
// these are left out, after what they are in 12 MB of programmers' chat:
//
//   - a file, "readme.md", or a member, "list.map", unless www. or a further dot
//     makes a host of it: the top-level domains in fileTLDs and codeTLDs;
//   - a sentence begun without a space, "a place.No reason";
//   - a call, "window.open(".
func doubtful(host string, last int, next byte) bool {
	tld := host[last:]
	if oneOf(tld, plainTLDs) {
		return false
	}
	if next == '(' {
		return true
	}
	if isUpper(tld[0]) && !isUpper(tld[1]) {
		return true
	}
	name := host[:last-1]
	switch {
	case oneOf(tld, fileTLDs):
		return strings.IndexByte(name, '.') < 0 || mixedCase(name)
	case oneOf(tld, codeTLDs):
		return strings.IndexByte(name, '.') < 0 && !strings.ContainsAny(name, "-0123456789") || mixedCase(name)
	}
	return false
}

var (
	// plainTLDs are those that nobody takes for anything else.
	plainTLDs = []string{"com", "net", "org"}

	// fileTLDs are better known as the ends of file names. Of those that are
	// countries, only where files are the likelier in a chat: Poland (pl), North
	// Macedonia (mk) and .cc stay hosts.
	fileTLDs = []string{"app", "cab", "dot", "md", "mov", "properties", "ps", "pub", "py", "rs", "sh", "so", "tf", "zip"}

	// codeTLDs are what programmers write behind a dot.
	codeTLDs = []string{"bar", "data", "find", "foo", "inc", "map", "name", "next", "open", "prime", "prod", "run", "star", "style", "total", "zero"}
)

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// mixedCase reports whether both cases stand in s, as in "CategoryTheory".
func mixedCase(s string) bool {
	upper, lower := false, false
	for i := range len(s) {
		upper = upper || isUpper(s[i])
		lower = lower || 'a' <= s[i] && s[i] <= 'z'
	}
	return upper && lower
}
