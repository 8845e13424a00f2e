package reputation

import (
	_ "embed"
	"strings"

	"headlight.example/evidence"
)

// wellKnownText is written by hand; its head says what belongs in it.
//
//go:embed wellknown.txt
var wellKnownText string

// hashNames hashes the tenants named in a text, one a line; # begins a comment.
func hashNames(key *evidence.Key, text string) map[uint64]struct{} {
	names := make(map[uint64]struct{})
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for name := range strings.FieldsSeq(line) {
			names[key.Hash(evidence.Tenant, name)] = struct{}{}
		}
	}
	return names
}
