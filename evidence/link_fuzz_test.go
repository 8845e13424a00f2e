package evidence_test

import (
	"testing"

	"headlight.example/evidence"
	"headlight.example/link"
)

// FuzzLinkSubjects: whatever link.Parse makes of a text can be spoken of, in
// clear and sealed. Else a report of a link that can be clicked is refused.
func FuzzLinkSubjects(f *testing.F) {
	f.Add("https://user:pw@www.Example.co.uk:8080/a/./b?q=%2525#x")
	f.Add("http://www.rl(qgo\x7fgle.com/url")
	f.Add("http://[::ffff:127.0.0.1]/x")
	f.Add("http://0x7f.1//a//b?c?d")
	f.Add("http://exa\u00admple.com/\u200b")
	f.Add("https://docs.google.com/document/d/abc/edit")
	key := new(evidence.Key)
	f.Fuzz(func(t *testing.T, raw string) {
		l, err := link.Parse(raw)
		if err != nil {
			return
		}
		subjects := []evidence.Subject{
			{Kind: evidence.URL, Key: l.URL()},
			{Kind: evidence.Host, Key: l.Host()},
			{Kind: evidence.Tenant, Key: l.Tenant()},
			{Kind: evidence.Domain, Key: l.Domain()},
			key.Seal(l),
		}
		if p := l.Path(); p != "" {
			subjects = append(subjects, evidence.Subject{Kind: evidence.Path, Key: p})
		}
		for _, s := range subjects {
			if err := s.Validate(); err != nil {
				t.Errorf("%q is read as %q, which cannot be spoken of: %v", raw, l, err)
			}
		}
	})
}
