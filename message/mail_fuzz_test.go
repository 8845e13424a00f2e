package message_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"headlight.example/message"
)

// addMails adds the mails of testdata to what is fuzzed.
func addMails(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/mail/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no mail in testdata: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
}

// FuzzMail reads anything as a mail: no panic, every finding in bounds and in
// a part, no more than the bounds allow, errors of the one kind.
func FuzzMail(f *testing.F) {
	addMails(f)
	f.Fuzz(func(t *testing.T, s string) {
		links, errs := 0, 0
		for f, err := range message.Links(message.Mail, s) {
			if err != nil {
				if _, ok := errors.AsType[*message.BoundError](err); !ok {
					t.Fatalf("%v is no BoundError", err)
				}
				errs++
				continue
			}
			links++
			// No charset makes more than three bytes of one.
			checkFound(t, f, 3*len(s))
			if f.Part == "" {
				t.Errorf("%q stands in no part", f.Raw)
			}
		}
		if links > message.MaxFound {
			t.Errorf("%d links", links)
		}
		if len(s) < message.MaxHeader && errs > 2*message.MaxParts {
			t.Errorf("%d errors", errs)
		}
	})
}
