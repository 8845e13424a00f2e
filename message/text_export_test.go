package message

// For the tests of bounds and of linear time.
const (
	MaxFound    = maxFound
	MaxTextPart = maxTextPart
	MaxLink     = maxLink
	MaxShown    = maxShown
)

// Steps tells how many bytes the finder reads one by one in s, beside its
// passes for the signs.
func Steps(s string) int {
	t := textScan{s: s, next: nextSign(s, 0)}
	for t.find() {
	}
	return t.steps
}

// Flowed finds the links of a text in format=flowed with DelSp=yes.
func Flowed(s string) (found []Found) {
	w := walk{yield: func(f Found, err error) bool {
		found = append(found, f)
		return true
	}}
	w.flowedPart(s)
	return found
}

var Mismatches = mismatch

// SortedLists are those that a binary search looks through.
var SortedLists = [][]string{plainTLDs, fileTLDs, codeTLDs}
