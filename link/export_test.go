package link

import "strings"

// ICANNSuffix is the suffix by the rules of the ICANN part.
func ICANNSuffix(host string) string {
	var r lineage
	r.find(host)
	return host[r.icann:]
}

// SuffixRules are the rules of the list as z_suffixes.txt has them, without
// the mark of the part.
func SuffixRules() []string { return tableLines(suffixText, "//", 2) }

// PlatformLines are the entries of platforms.txt.
func PlatformLines() []string { return tableLines(platformText, "#", 0) }

// WrapperLines are the entries of wrappers.txt.
func WrapperLines() []string { return tableLines(wrapperText, "#", 0) }

func tableLines(text, comment string, skip int) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, comment) {
			lines = append(lines, line[skip:])
		}
	}
	return lines
}

// Decode undoes percent-encoding as long as there is any.
func Decode(s string) string { return string(decode(nil, s, len(s))) }

// SuffixSource is the head of z_suffixes.txt.
func SuffixSource() string { return suffixText[:1000] }

// SavesState says whether hashes are made the fast way.
var SavesState = savesState
