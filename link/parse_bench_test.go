package link_test

import (
	"testing"

	"headlight.example/link"
)

// BenchmarkParse is Parse of one URL each: a plain host beside hosts whose paths
// name the tenant.
func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, raw string }{
		{"plain", "https://www.example.com/user/repo"},
		{"deep", "https://news.shop.example.co.uk/user/repo"},
		{"one_rule", "https://bit.ly/3xYzAbC"},
		{"github", "https://github.com/user/repo"},
		{"docs_plain", "https://docs.example.com/document/d/1aBcDeF/edit"},
		{"docs", "https://docs.google.com/document/d/1aBcDeF/edit"},
		{"subdomain", "https://user.github.io/repo/page"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				link.Parse(bench.raw)
			}
		})
	}
}
