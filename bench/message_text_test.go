package bench

import (
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"gitlab.com/golang-commonmark/linkify"
	"mvdan.cc/xurls/v2"

	"headlight.example/message"
)

// textFinders count the links of a text. Ours parses each link, tells its
// suffix and tenant, and looks at the mark-up around it; the others give the
// place where it stands.
var textFinders = []struct {
	name string
	find func(string) int
}{
	{"headlight", func(s string) (n int) {
		for _, err := range message.Links(message.Text, s) {
			if err == nil {
				n++
			}
		}
		return n
	}},
	{"linkify-go", func(s string) int { return len(linkify.Links(s)) }},
	{"xurls-relaxed", func(s string) int { return len(xurlsRelaxed.FindAllStringIndex(s, -1)) }},
	{"xurls-strict", func(s string) int { return len(xurlsStrict.FindAllStringIndex(s, -1)) }},
	{"goldmark", goldmarkLinks},
}

var (
	xurlsRelaxed = xurls.Relaxed()
	xurlsStrict  = xurls.Strict()
	markdown     = goldmark.New(goldmark.WithExtensions(extension.Linkify))
)

func goldmarkLinks(s string) (n int) {
	doc := markdown.Parser().Parse(text.NewReader([]byte(s)))
	ast.Walk(doc, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering && node.Kind() == ast.KindAutoLink {
			n++
		}
		return ast.WalkContinue, nil
	})
	return n
}

// BenchmarkText finds the links of plain text. linkify.sh runs Rust's linkify
// on the same corpora beside it.
func BenchmarkText(b *testing.B) {
	corpora := []struct {
		name  string
		texts []string
	}{
		{"chat_60B", chatCorpus(10000)},
		{"mail_100KB", []string{mailCorpus(100 << 10)}},
	}
	for _, c := range corpora {
		size := 0
		for _, s := range c.texts {
			size += len(s)
		}
		for _, f := range textFinders {
			b.Run(c.name+"/"+f.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n = 0
					for _, s := range c.texts {
						n += f.find(s)
					}
				}
				b.ReportMetric(float64(n), "links")
			})
		}
	}
}

// TestTextFinders: on these corpora all find about the same, so that their
// speeds compare. xurls-strict and goldmark know fewer links without a scheme.
func TestTextFinders(t *testing.T) {
	for name, texts := range map[string][]string{"chat": chatCorpus(2000), "mail": {mailCorpus(100 << 10)}} {
		var first int
		for i, f := range textFinders {
			n := 0
			for _, s := range texts {
				n += f.find(s)
			}
			if i == 0 {
				first = n
			}
			if n < first*7/10 || n > first*13/10 {
				t.Errorf("%s: %s finds %d links, headlight %d", name, f.name, n, first)
			}
		}
		if first < 50 {
			t.Errorf("%s: %d links are too few to say anything", name, first)
		}
	}
}
