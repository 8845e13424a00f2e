package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headlight.example/message"
)

// localSession opens a data directory as a command does.
func localSession(t *testing.T) *session {
	t.Helper()
	p := &place{flags: newFlags("test"), data: t.TempDir(), rater: "operator/test"}
	e := newEnv(nil, io.Discard, io.Discard)
	s, err := p.open(t.Context(), e, writing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// understood decodes an answer strictly into v and asserts that nothing of it
// is lost: what -json prints is what the API says.
func understood(t *testing.T, answer []byte, v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(answer))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, answer)
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(again, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(answer, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("encoded again the answer differs (-said +kept):\n%s", diff)
	}
}

func TestAnswersAreUnderstood(t *testing.T) {
	s := localSession(t)
	if _, err := s.report(t.Context(), []report{{URL: "http://bad.example/x", Assertion: "phishing"}}); err != nil {
		t.Fatal(err)
	}
	links := []string{
		"http://bad.example/x", "http://", "http://example.net/", "http://github.com/",
		"https://www.google.com/url?q=http://bad.example/x", "http://phishing.headlight.example/",
	}
	answer, err := s.post(t.Context(), "/v1/check", map[string][]string{"links": links})
	if err != nil {
		t.Fatal(err)
	}
	var checked struct {
		Verdicts []verdict `json:"verdicts"`
	}
	understood(t, answer, &checked)
	if len(checked.Verdicts) != len(links) {
		t.Fatalf("%d verdicts on %d links", len(checked.Verdicts), len(links))
	}
	if v := checked.Verdicts[4]; v.Inner != "http://bad.example/x" || v.Wrapper == "" {
		t.Errorf("the wrapped link has inner %q in a wrapper of %q", v.Inner, v.Wrapper)
	}

	text := `<a href="http://bad.example/x">www.good.example</a> <a href="data:text/html,x">y</a> hxxp://defanged[.]example/`
	answer, err = s.post(t.Context(), "/v1/scan", map[string]string{"type": "text/html", "text": text})
	if err != nil {
		t.Fatal(err)
	}
	var byAPI scan
	understood(t, answer, &byAPI)
	byCommand, err := s.scan(t.Context(), message.HTML, text)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*scan{&byAPI, &byCommand} {
		for i := range r.Links {
			r.Links[i].Expires = ""
		}
	}
	if diff := cmp.Diff(byAPI, byCommand, cmp.AllowUnexported(finding{})); diff != "" {
		t.Errorf("the command scans otherwise than the API (-API +command):\n%s", diff)
	}
}
