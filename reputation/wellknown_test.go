package reputation_test

import (
	_ "embed"
	"strings"
	"testing"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

//go:embed wellknown.txt
var wellKnown string

func wellKnownNames() (names []string) {
	for line := range strings.Lines(wellKnown) {
		line, _, _ = strings.Cut(line, "#")
		names = append(names, strings.Fields(line)...)
	}
	return names
}

func TestEachWellKnownNameIsARegistrableDomain(t *testing.T) {
	names := wellKnownNames()
	if len(names) < 500 {
		t.Fatalf("only %d names", len(names))
	}
	seen := make(map[string]bool)
	for _, name := range names {
		l, err := link.Parse("http://" + name)
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case seen[name]:
			t.Errorf("%s is there twice", name)
		case l.Host() != name || l.Domain() != name || l.Suffix() == name:
			t.Errorf("%s: domain %s, tenant %s: not one registrable domain", name, l.Domain(), l.Tenant())
		case l.Platform() != link.None && l.Platform() != link.PathPlatform:
			t.Errorf("%s is a platform of kind %v", name, l.Platform())
		}
		seen[name] = true
	}
}

func TestAWellKnownNameIsSafeAndNoSingleListSaysOtherwise(t *testing.T) {
	s := tell(t)
	for _, name := range wellKnownNames() {
		l := s.link("https://" + name + "/")
		if l.PlatformRoot() { // only its front page is its own
			s.report("feed/one", evidence.Phishing, "https://"+name+"/")
			s.want(reputation.Safe, "https://"+name+"/")
			continue
		}
		s.want(reputation.Safe, "https://"+name+"/", "https://www."+name+"/some/page?x=1")
		s.report("feed/one", evidence.Phishing, "https://"+name+"/")
		s.report("feed/two", evidence.Malware, "https://"+name+"/")
		s.say("feed/one", evidence.Spam, evidence.Subject{Kind: evidence.Host, Key: name})
		s.say("feed/two", evidence.Spam, evidence.Subject{Kind: evidence.Domain, Key: name})
		s.want(reputation.Unknown, "https://"+name+"/")
		s.want(reputation.Safe, "https://www."+name+"/some/page?x=1")
	}
	s.report("feed/one", evidence.Malware, "https://www.paypal.com/uploads/x.exe")
	s.want(reputation.Suspicious, "https://www.paypal.com/uploads/x.exe")
	s.report("feed/two", evidence.Malware, "https://www.paypal.com/uploads/x.exe")
	s.want(reputation.Dangerous, "https://www.paypal.com/uploads/x.exe")
	s.want(reputation.Safe, "https://www.paypal.com/login")
}
