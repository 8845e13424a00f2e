package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
)

const line = `{"seq":7,"time":"2026-03-04T05:06:07.089Z","rater":"feed/a","subject":{"kind":"url","key":"a.example/?a&b"},"assertion":"phishing","count":1}`

// read gives the entries of an export and the error that ends it.
func read(r io.Reader) (es []evidence.Entry, err error) {
	for e, err := range evidence.ReadLines(r) {
		if err != nil {
			return es, err
		}
		es = append(es, e)
	}
	return es, nil
}

func TestAnExportIsReadBackWithoutLoss(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), quiet())
	defer l.Close()
	if _, err := l.Append(t.Context(), samples()...); err != nil {
		t.Fatal(err)
	}
	appendSentences(t, l, 0, 10000)
	var want []evidence.Entry
	for e, err := range l.Entries(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, e)
	}
	var out bytes.Buffer
	var steps []uint64
	err := l.Export(t.Context(), &out, func(done, total uint64) {
		if total != uint64(len(want)) {
			t.Errorf("progress to %d, want %d", total, len(want))
		}
		steps = append(steps, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(steps, []uint64{4096, 8192, uint64(len(want))}) {
		t.Errorf("progress in steps of %v", steps)
	}
	got, err := read(&out)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %s", err, cmp.Diff(want, got))
	}
	if err := l.Export(t.Context(), iotest.TruncateWriter(errWriter{}, 0), nil); err != nil {
		t.Errorf("a writer that takes all: %v", err)
	}
	if err := l.Export(t.Context(), errWriter{}, nil); !errors.Is(err, errDisk) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, errDisk }

func TestTheFormOfALine(t *testing.T) {
	t.Parallel()
	es, err := read(strings.NewReader("\n  " + line + "\r\n\n"))
	if err != nil || len(es) != 1 {
		t.Fatalf("%v, %v", es, err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(es[0]); err != nil || out.String() != line+"\n" {
		t.Errorf("got  %swant %s", &out, line)
	}
	if es, err := read(strings.NewReader("")); err != nil || len(es) != 0 {
		t.Errorf("an empty export: %v, %v", es, err)
	}
}

func TestALineThatIsNoEntryIsNamed(t *testing.T) {
	t.Parallel()
	with := func(old, new string) string { return strings.Replace(line, old, new, 1) }
	for name, bad := range map[string]string{
		"not JSON":           "7",
		"half of a line":     line[:50],
		"an unknown field":   with(`"seq"`, `"say":1,"seq"`),
		"two entries":        line + line,
		"an unknown word":    with("phishing", "fishing"),
		"an unknown kind":    with(`"url"`, `"uri"`),
		"not valid":          with(`"count":1`, `"count":0`),
		"too large a count":  with(`"count":1`, `"count":4294967296`),
		"a time out of mind": with("2026", "1066"),
		"no subject":         with(`"subject":{"kind":"url","key":"a.example/?a&b"},`, ""),
		"too long":           strings.Repeat(" ", evidence.MaxLine-len(line)) + line,
	} {
		es, err := read(strings.NewReader(line + "\n\n" + bad + "\n" + line + "\n"))
		if e, ok := errors.AsType[*evidence.LineError](err); !ok || e.Line != 3 || len(es) != 1 {
			t.Errorf("%s: got %d entries, %v; want an error of line 3", name, len(es), err)
		}
	}
	// One byte less is taken: the scanner's bound counts the line feed.
	if _, err := read(strings.NewReader(strings.Repeat(" ", evidence.MaxLine-len(line)-1) + line + "\n")); err != nil {
		t.Errorf("the longest line: %v", err)
	}
	if _, err := read(iotest.ErrReader(errDisk)); !errors.Is(err, errDisk) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add([]byte(line))
	for i, r := range samples() {
		b, err := json.Marshal(evidence.Entry{Seq: uint64(i), Record: r})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:min(len(b), 1000)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		es, _ := read(bytes.NewReader(b))
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		for i := range es {
			// What the log keeps of it: milliseconds.
			bin, err := es[i].AppendBinary(nil)
			if err != nil {
				t.Fatalf("%v was read and is not valid: %v", es[i], err)
			}
			if err := es[i].UnmarshalBinary(bin); err != nil {
				t.Fatal(err)
			}
			if err := enc.Encode(es[i]); err != nil {
				t.Fatal(err)
			}
		}
		again, err := read(&out)
		if err != nil || !slices.Equal(again, es) {
			t.Fatalf("%v\ngot  %v\nwant %v", err, again, es)
		}
	})
}
