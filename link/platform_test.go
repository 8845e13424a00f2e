package link_test

import (
	"strings"
	"testing"

	"headlight.example/link"
)

func TestTenants(t *testing.T) {
	for _, tt := range []struct {
		name, raw, tenant string
		platform          link.Platform
		root              bool
	}{
		{"a registrable domain", "http://www.example.co.uk/a", "example.co.uk", link.None, false},
		{"a name of one label", "http://localhost/", "localhost", link.None, false},
		{"a public suffix alone", "http://co.uk/", "co.uk", link.None, false},
		{"the private part of the list", "https://a.user.github.io/x", "user.github.io", link.Subdomain, false},
		{"a wildcard of the private part", "https://a.b.compute.amazonaws.com/", "a.b.compute.amazonaws.com", link.Subdomain, false},
		{"what the list leaves out", "https://name.weebly.com/x", "name.weebly.com", link.Subdomain, false},
		{"Blogger in any country", "https://name.blogspot.nl/", "name.blogspot.nl", link.Subdomain, false},
		{"Blogger below a second level", "https://www.name.blogspot.co.uk/", "name.blogspot.co.uk", link.Subdomain, false},
		{"a platform with subdomains alone", "https://github.io/", "github.io", link.Subdomain, true},
		{"its www", "https://www.weebly.com/", "www.weebly.com", link.Subdomain, true},
		{"a content network", "https://d111111abcdef8.cloudfront.net/x.js", "d111111abcdef8.cloudfront.net", link.CDN, false},

		{"a path platform", "https://github.com/user/repo?tab=x", "github.com/user", link.PathPlatform, false},
		{"a path platform with www", "https://www.github.com/user", "www.github.com/user", link.PathPlatform, false},
		{"its root", "https://github.com/", "github.com", link.PathPlatform, true},
		{"what is its own", "https://github.com/login/oauth", "github.com", link.PathPlatform, true},
		{"what only begins like that", "https://github.com/loginx", "github.com/loginx", link.PathPlatform, false},
		{"a name of the platform's own", "https://docs.github.com/en/x", "github.com", link.PathPlatform, true},
		{"a document", "https://docs.google.com/document/d/1AbC/edit#x", "docs.google.com/document/d/1AbC", link.PathPlatform, false},
		{"a form, by the longer prefix", "https://docs.google.com/forms/d/e/1FAI/viewform", "docs.google.com/forms/d/e/1FAI", link.PathPlatform, false},
		{"no document", "https://docs.google.com/document/d/", "docs.google.com", link.PathPlatform, true},
		{"a site", "https://sites.google.com/view/name/home", "sites.google.com/view/name", link.PathPlatform, false},
		{"a site of a domain has two segments", "https://sites.google.com/a/domain.example/name/home", "sites.google.com/a/domain.example/name", link.PathPlatform, false},
		{"one segment of two", "https://sites.google.com/a/domain.example", "sites.google.com", link.PathPlatform, true},
		{"a repository on a content network", "https://cdn.jsdelivr.net/gh/user/repo@1/x.js", "cdn.jsdelivr.net/gh/user/repo@1", link.PathPlatform, false},
		{"a bucket in the path", "https://s3.eu-west-1.amazonaws.com/bucket/x", "s3.eu-west-1.amazonaws.com/bucket", link.PathPlatform, false},
		{"a bucket in the name", "https://bucket.s3.eu-west-1.amazonaws.com/x", "bucket.s3.eu-west-1.amazonaws.com", link.Subdomain, false},
		{"a channel's attachments", "https://cdn.discordapp.com/attachments/123/456/x.exe", "cdn.discordapp.com/attachments/123", link.PathPlatform, false},
		{"an IPFS gateway by path", "https://ipfs.io/ipfs/QmAbc/x.html", "ipfs.io/ipfs/QmAbc", link.PathPlatform, false},
		{"an IPFS gateway by name", "https://bafy.ipfs.dweb.link/x.html", "bafy.ipfs.dweb.link", link.Subdomain, false},
		{"one name of both kinds, by path", "https://medium.com/@user/story", "medium.com/@user", link.PathPlatform, false},
		{"one name of both kinds, by name", "https://user.medium.com/story", "user.medium.com", link.Subdomain, false},
		{"a shortener", "https://bit.ly/3AbC?x", "bit.ly/3AbC", link.Shortener, false},
		{"a shortener's root", "https://bit.ly/", "bit.ly", link.Shortener, true},
		{"a query is no segment", "https://bit.ly/?x", "bit.ly", link.Shortener, true},
		{"an address", "http://192.0.2.1/user/x", "192.0.2.1", link.None, false},
		{"a name that only ends like a platform", "https://notgithub.com/user", "notgithub.com", link.None, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := link.Parse(tt.raw)
			if err != nil || l.Tenant() != tt.tenant || l.Platform() != tt.platform || l.PlatformRoot() != tt.root {
				t.Errorf("%s: got tenant %s, %v, root %v, %v, want %s, %v, %v",
					tt.raw, l.Tenant(), l.Platform(), l.PlatformRoot(), err, tt.tenant, tt.platform, tt.root)
			}
		})
	}
}

func TestEveryPlatformNamesTenants(t *testing.T) {
	lines := link.PlatformLines()
	if len(lines) < 1000 {
		t.Fatalf("%d platforms", len(lines))
	}
	seen := map[string]bool{}
	for _, line := range lines {
		if seen[line] {
			t.Errorf("%s is there twice", line)
		}
		seen[line] = true
		name, kind, _ := strings.Cut(line, " ")
		raw, platform := "http://tenant."+name+"/", link.Subdomain
		switch kind {
		case "cdn":
			platform = link.CDN
		case "shortener":
			raw, platform = "http://"+name+"/tenant", link.Shortener
		case "path1", "path2":
			raw, platform = "http://"+strings.TrimSuffix(name, "/")+"/tenant/tenant", link.PathPlatform
		case "root":
			raw, platform = "http://"+name, link.PathPlatform
		}
		l, err := link.Parse(raw)
		if err != nil || l.Platform() != platform || l.PlatformRoot() != (kind == "root") {
			t.Errorf("%s: %s is of %s, a %v, root %v, %v", line, raw, l.Tenant(), l.Platform(), l.PlatformRoot(), err)
		}
		if host, _, _ := strings.Cut(name, "/"); l.Host() != host && l.Host() != "tenant."+host {
			t.Errorf("%s: not a canonical host", line)
		}
	}
}

func TestEveryWrapperIsKnownByItsHost(t *testing.T) {
	lines := link.WrapperLines()
	if len(lines) < 100 {
		t.Fatalf("%d wrappers", len(lines))
	}
	for _, line := range lines {
		name := strings.Fields(line)[1]
		if l, err := link.Parse("https://" + strings.Replace(name, "*.", "x.", 1)); err != nil || !l.Wrapper() {
			t.Errorf("%s: %s is no wrapper, %v", line, l, err)
		}
	}
	if l, _ := link.Parse("https://example.com/url?q=https://shop.example"); l.Wrapper() {
		t.Errorf("%s is a wrapper", l)
	}
}
