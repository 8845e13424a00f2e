package message

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// isTLD reports whether an ASCII label, in any case, is a top-level domain.
func isTLD(label string) bool {
	if len(label) < 2 || len(label) > 24 {
		return false
	}
	for i := range len(label) {
		if !isAlpha(label[i]) && !(len(label) > 4 && label[:4] == "xn--") {
			return false
		}
	}
	_, icann := publicsuffix.PublicSuffix(strings.ToLower(label))
	return icann
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
//     makes a host of it: the top-level domains in fileTLD and codeTLD;
//   - a sentence begun without a space, "a place.No reason";
//   - a call, "window.open(".
func doubtful(host string, last int, next byte) bool {
	tld := host[last:]
	switch strings.ToLower(tld) {
	case "com", "net", "org":
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
	case fileTLD(tld):
		return strings.IndexByte(name, '.') < 0 || mixedCase(name)
	case codeTLD(tld):
		return strings.IndexByte(name, '.') < 0 && !strings.ContainsAny(name, "-0123456789") || mixedCase(name)
	}
	return false
}

// fileTLD knows top-level domains that are better known as the ends of file
// names. Of those that are countries, only where the files are the likelier in
// a chat: Poland (pl), North Macedonia (mk) and .cc stay hosts.
func fileTLD(tld string) bool {
	switch strings.ToLower(tld) {
	case "app", "cab", "dot", "md", "mov", "properties", "ps", "pub", "py", "rs", "sh", "so", "tf", "zip":
		return true
	}
	return false
}

// codeTLD knows top-level domains that programmers write behind a dot.
func codeTLD(tld string) bool {
	switch strings.ToLower(tld) {
	case "bar", "data", "find", "foo", "inc", "map", "name", "next", "open", "prime", "prod", "run", "star", "style", "total", "zero":
		return true
	}
	return false
}

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
