package bench

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nlnwa/whatwg-url/canonicalizer"
	weppos "github.com/weppos/publicsuffix-go/publicsuffix"
	"golang.org/x/net/publicsuffix"

	"headlight.example/link"
)

// linkURLs are 2,000 URLs, half of them ordinary; see testdata/README.md.
var linkURLs = sync.OnceValue(func() []string {
	text, err := os.ReadFile("testdata/urls.txt")
	if err != nil {
		panic(err)
	}
	return strings.Fields(string(text))
})

// eachURL runs f on all URLs in turn.
func eachURL(b *testing.B, f func(raw string)) {
	urls := linkURLs()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		f(urls[i])
		if i++; i == len(urls) {
			i = 0
		}
	}
}

// BenchmarkLink is the canonical form of a URL, and what is made of it.
func BenchmarkLink(b *testing.B) {
	b.Run("canonical", func(b *testing.B) {
		eachURL(b, func(raw string) { link.Parse(raw) })
	})
	b.Run("expressions", func(b *testing.B) {
		dst := make([]string, 0, link.MaxExpressions)
		eachURL(b, func(raw string) {
			l, _ := link.Parse(raw)
			dst = link.AppendExpressions(dst[:0], l, link.V4)
		})
	})
	b.Run("hashes", func(b *testing.B) {
		dst := make([][32]byte, 0, link.MaxExpressions)
		eachURL(b, func(raw string) {
			l, _ := link.Parse(raw)
			dst = link.AppendHashes(dst[:0], l, link.V4)
		})
	})
	b.Run("unwrap", func(b *testing.B) {
		const raw = "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fshop.example%2Fa%3Fx%3D1%26y%3D2&data=05%7C01&reserved=0"
		b.ReportAllocs()
		for b.Loop() {
			link.Unwrap(raw)
		}
	})
}

func BenchmarkLinkPeers(b *testing.B) {
	b.Run("canonical/nlnwa_safebrowsing", func(b *testing.B) {
		eachURL(b, func(raw string) { canonicalizer.GoogleSafeBrowsing.Parse(raw) })
	})
	b.Run("canonical/nlnwa_whatwg", func(b *testing.B) {
		eachURL(b, func(raw string) { canonicalizer.WhatWg.Parse(raw) })
	})
	b.Run("parse/net_url", func(b *testing.B) {
		eachURL(b, func(raw string) { url.Parse(raw) })
	})
}

// BenchmarkPublicSuffix is the longest public suffix of a host.
func BenchmarkPublicSuffix(b *testing.B) {
	hosts := []string{}
	for _, raw := range linkURLs() {
		if l, err := link.Parse(raw); err == nil {
			if _, isAddr := l.Addr(); !isAddr {
				hosts = append(hosts, l.Host())
			}
		}
	}
	for _, peer := range []struct {
		name string
		find func(host string)
	}{
		{"link", func(host string) { link.PublicSuffix(host) }},
		{"x_net", func(host string) { publicsuffix.PublicSuffix(host) }},
		{"weppos", func(host string) { weppos.Parse(host) }},
	} {
		b.Run(peer.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				peer.find(hosts[i])
				if i++; i == len(hosts) {
					i = 0
				}
			}
		})
	}
}

// The expressions of the URLs must be those of an independent reading, by the
// canonical form of nlnwa/whatwg-url, where that one follows the rules: it
// decodes no query and drops no port.
func TestCanonicalFormAgreesWithPeer(t *testing.T) {
	agree, differ := 0, []string{}
	for _, raw := range linkURLs() {
		l, err := link.Parse(raw)
		peer, err2 := canonicalizer.GoogleSafeBrowsing.Parse(raw)
		if err != nil || err2 != nil {
			if (err == nil) != (err2 == nil) {
				differ = append(differ, raw)
			}
			continue
		}
		ours, _, _ := strings.Cut(l.Canonical(), "?")
		theirs, _, _ := strings.Cut(peer.Scheme()+"://"+peer.Hostname()+peer.Pathname(), "?")
		if ours == theirs {
			agree++
		} else {
			differ = append(differ, ours+" != "+theirs)
		}
	}
	slices.Sort(differ)
	t.Logf("%d agree, %d differ: %q", agree, len(differ), differ)
	if agree < len(linkURLs())*99/100 {
		t.Errorf("only %d of %d agree", agree, len(linkURLs()))
	}
}
