package message

import "strings"

// refang writes the dots of a defanged address as dots: [.] (.) {.} [dot].
func refang(s string) string {
	i := strings.IndexAny(s, "[({")
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		n := dotAt(s, i)
		if n > 1 {
			b.WriteString(s[:i])
			b.WriteByte('.')
			s = s[i+n:]
			i = -1
		}
		next := strings.IndexAny(s[i+1:], "[({")
		if next < 0 {
			b.WriteString(s)
			return b.String()
		}
		i += 1 + next
	}
}
