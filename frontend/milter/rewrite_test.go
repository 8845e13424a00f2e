package milter_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"headlight.example/frontend/milter"
)

func TestLinksAreRewritten(t *testing.T) {
	t.Parallel()
	cfg := milter.Config{Suspicious: milter.Rewrite, Dangerous: milter.Reject, Exempt: []string{"abuse"}, Lookup: "https://linkcheck.example/?a&host="}
	connect := start(t, cfg)
	const fangless = "hxxp://suspicious[.]headlight[.]example/a"
	signed := "Content-Type: multipart/signed; boundary=x"
	for _, test := range []struct {
		name, mail, to string
		body           string // "" if it stays
		field          string // what X-Headlight ends in
		reply          string
	}{
		{"a suspicious link", mail("see " + odd + " and " + good + "\r\n"), "", "see " + fangless + " and " + good + "\r\n", "rewritten=all", "accept"},
		{"HTML", mail("<a href='"+odd+"'>here</a>", "Content-Type: text/html"), "",
			"<a href='https://linkcheck.example/?a&amp;host=suspicious.headlight.example'>here</a>", "rewritten=all", "accept"},
		{"what nobody knows", mail("see " + good), "", "", "id=ID", "accept"},
		{"a dangerous one as well", mail(odd + " " + bad), "", "", "", "550"},
		{"one in the subject too", "Subject: " + odd + "\r\n\r\n" + odd, "", fangless, "rewritten=some", "accept"},
		{"one in the subject only", "Subject: " + odd + "\r\n\r\nhello", "", "", "rewritten=none", "accept"},
		{"signed", mail("--x\r\n\r\n"+odd+"\r\n--x--\r\n", signed), "", "", "rewritten=none", "accept"},
		{"written so that nobody can click it", mail("hxxp://suspicious[.]headlight[.]example/"), "", "", "rewritten=all", "accept"},
		{"a mail that reports it", mail(odd), "abuse@example.org", "", "id=ID", "accept"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := dial(t, connect(), 6, allSteps)
			for range 2 {
				o := m.deliver(test.mail, 100, strings.Fields(test.to)...)
				field := regexp.MustCompile(`id=[0-9a-z]{13}`).ReplaceAllString(o.field("X-Headlight"), "id=ID")
				if o.body != test.body || !strings.HasSuffix(field, test.field) || !strings.HasPrefix(o.reply, test.reply) {
					t.Errorf("got %q, %q, %s; want %q, %s, %s", o.body, field, o.reply, test.body, test.field, test.reply)
				}
			}
		})
	}
	if dial(t, start(t, milter.Config{Dangerous: milter.Quarantine})(), 6, allSteps).body {
		t.Error("who does not rewrite asks to")
	}
}

func TestALongBodyIsRewrittenInChunks(t *testing.T) {
	t.Parallel()
	connect := start(t, milter.Config{Dangerous: milter.Rewrite, MaxMemory: 1 << 20})
	body := func(n int) string { return bad + " " + strings.Repeat("x", n-len(bad)-1) }
	const grows = len("hxxp://phishing[.]headlight[.]example/a") - len(bad)
	for _, test := range []struct {
		n      int
		chunks []int
	}{
		{65535 - grows, []int{65535}},
		{65536 - grows, []int{65535, 1}},
		{150_000, []int{65535, 65535, 150_000 + grows - 2*65535}},
	} {
		o := dial(t, connect(), 6, allSteps).deliver(mail(body(test.n)), 65535)
		if !slices.Equal(o.chunks, test.chunks) || len(o.body) != test.n+grows || !strings.HasPrefix(o.body, "hxxp://phishing[.]") {
			t.Errorf("%d bytes came back as %v", test.n, o.chunks)
		}
	}
	// Of more links than are looked at nobody says that all are rewritten.
	o := dial(t, connect(), 6, allSteps).deliver(mail(bad+strings.Repeat(" "+good, 1000)), 65535)
	if !strings.HasSuffix(o.field("X-Headlight"), "; rewritten=some; unscanned=links") || !strings.HasPrefix(o.body, "hxxp:") {
		t.Errorf("of many links: %q", o.field("X-Headlight"))
	}
	// What cannot be held twice more, or was not seen whole, stays.
	for name, c := range map[string]milter.Config{"memory": {Dangerous: milter.Rewrite, MaxMemory: 500_000}, "size": {Dangerous: milter.Rewrite, MaxBytes: 100_000}} {
		o := dial(t, start(t, c)(), 6, allSteps).deliver(mail(body(150_000)), 65535)
		if o.body != "" || !strings.Contains(o.field("X-Headlight"), "; rewritten=none") || o.reply != "accept" {
			t.Errorf("%s: got %d bytes, %q, %s", name, len(o.body), o.field("X-Headlight"), o.reply)
		}
	}
}
