package reputation

import (
	_ "embed"
	"iter"
	"strings"

	"headlight.example/evidence"
)

// wellKnownText is written by hand; its head says what belongs in it.
//
//go:embed wellknown.txt
var wellKnownText string

// WellKnownNames gives the registrable domains that are compiled in as well known.
func WellKnownNames() iter.Seq[string] { return namesIn(wellKnownText) }

// namesIn gives the names in a text; # begins a comment.
func namesIn(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			for name := range strings.FieldsSeq(line) {
				if !yield(name) {
					return
				}
			}
		}
	}
}

// hashNames hashes the tenants named in a text.
func hashNames(key *evidence.Key, text string) map[uint64]struct{} {
	names := make(map[uint64]struct{})
	for name := range namesIn(text) {
		names[key.Hash(evidence.Tenant, name)] = struct{}{}
	}
	return names
}
