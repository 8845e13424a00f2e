package message

import "headlight.example/link"

// maxShown bounds Found.Shown, in bytes. No client shows a link's text on more
// than a few lines, and it is the beginning that deceives.
const maxShown = 1 << 10

// mismatch reports whether the text that a reader sees names another host than
// the one where l leads. It goes by the first host in the text, which is what
// the eye takes for the place, and by registrable domains: www.example.com may
// well lead to login.example.com. On a platform with a subdomain for each
// tenant it goes by the tenant; of a link that a mail gateway has wrapped, by what
// is inside. A text that names no host does not mismatch.
func mismatch(shown string, l link.Link) bool {
	named := firstNamed(shown)
	if named.IsZero() || l.IsZero() || sameParty(named, l) {
		return false
	}
	if l.Wrapper() {
		// The canonical form garbles the inner link's query, but not its host.
		inner, _, ok := link.Unwrap(l.String())
		return !ok || !sameParty(named, inner)
	}
	return true
}

// firstNamed is the first link in a text, written out or as a mere host; the
// zero Link if there is none.
func firstNamed(shown string) link.Link {
	shown = shown[:min(len(shown), maxShown)]
	t := textScan{s: shown, next: nextSign(shown, 0), bare: true}
	for t.find() {
		if !t.f.Link.IsZero() {
			return t.f.Link
		}
	}
	return link.Link{}
}

func sameParty(a, b link.Link) bool {
	if a.Domain() != b.Domain() {
		return false
	}
	if a.Platform() != link.Subdomain || b.Platform() != link.Subdomain || a.PlatformRoot() || b.PlatformRoot() {
		return true
	}
	return a.Tenant() == b.Tenant()
}
