package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"headlight.example/evidence"
)

// small gives a record that differs from those with another number.
func small(n int) evidence.Record {
	return evidence.Record{
		Time: day, Rater: "feed/a", Assertion: evidence.Phishing, Count: uint32(n) + 1,
		Subject: url(fmt.Sprintf("host%d.example/%d", n%10, n)),
	}
}

// fill appends blocks of ten records.
func fill(t *testing.T, l *evidence.DiskLog, blocks int) {
	t.Helper()
	for b := range blocks {
		var rs []evidence.Record
		for i := range 10 {
			rs = append(rs, small(10*b+i))
		}
		if _, err := l.Append(t.Context(), rs...); err != nil {
			t.Fatal(err)
		}
	}
}

func block(t *testing.T, l *evidence.DiskLog, first uint64) []byte {
	t.Helper()
	v, closer, err := l.Pebble().Get(evidence.BlockKey(first))
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	return bytes.Clone(v)
}

func put(t *testing.T, l *evidence.DiskLog, key, value []byte) {
	t.Helper()
	if err := l.Pebble().Set(key, value, pebble.Sync); err != nil {
		t.Fatal(err)
	}
}

func sealed(t *testing.T, first uint64, count int, bodies ...[]byte) []byte {
	t.Helper()
	var b []byte
	for _, body := range bodies {
		b = append(append(b, byte(len(body))), body...)
	}
	return evidence.SealBlock(first, count, b)
}

func TestADamagedBlockIsNamedAndWhatStandsBeforeItIsRead(t *testing.T) {
	t.Parallel()
	good, err := (&samples()[0]).AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	noRater := bytes.Replace(good, []byte("feed/openphish"), []byte("FEED/openphish"), 1)
	tests := []struct {
		name   string
		damage func(b []byte) []byte
		want   string
	}{
		{"a flipped bit in a record", func(b []byte) []byte { b[40] ^= 4; return b }, "checksum differs"},
		{"a flipped bit in the count", func(b []byte) []byte { b[1] ^= 1; return b }, "checksum differs"},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }, "checksum differs"},
		{"a torn block", func(b []byte) []byte { return b[:len(b)-1] }, "checksum differs"},
		{"a block torn in its header", func(b []byte) []byte { return b[:8] }, "8 bytes: want 9 to"},
		{"another block in its place", func([]byte) []byte { return sealed(t, 31, 1, good) }, "checksum differs"},
		{"no records", func([]byte) []byte { return sealed(t, 21, 0) }, "0 records: want 1 to 4096"},
		{"too many records", func([]byte) []byte { return sealed(t, 21, 4097) }, "4097 records: want 1 to 4096"},
		{"fewer records than it says", func([]byte) []byte { return sealed(t, 21, 2, good) }, "cut short"},
		{"more records than it says", func([]byte) []byte { return sealed(t, 21, 1, good, good) }, "bytes follow the last record"},
		{"a record that is none", func([]byte) []byte { return sealed(t, 21, 1, []byte{0x1f, 1}) }, "record begins with 0x1f"},
		{"more than a block", func([]byte) []byte { return make([]byte, 2<<20) }, "2097152 bytes: want 9 to"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := open(t, t.TempDir(), quiet())
			defer l.Close()
			fill(t, l, 5)
			put(t, l, evidence.BlockKey(21), test.damage(block(t, l, 21)))
			_, verr := l.Verify(t.Context(), nil)
			n, eerr := 0, error(nil)
			for e, err := range l.Entries(t.Context(), 0) {
				if eerr = err; err == nil && e.Seq <= 20 {
					n++
				}
			}
			var out bytes.Buffer
			xerr := l.Export(t.Context(), &out, nil)
			for what, err := range map[string]error{"Verify": verr, "Entries": eerr, "Export": xerr} {
				e, ok := errors.AsType[*evidence.BlockError](err)
				if !ok || e.First != 21 || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "restore the data directory from a copy") {
					t.Errorf("%s: got %v, want a BlockError at 21 with %q and the mend", what, err, test.want)
				}
			}
			if lines := strings.Count(out.String(), "\n"); n != 20 || lines < 20 {
				t.Errorf("%d entries and %d lines before the damage, want 20", n, lines)
			}
		})
	}
	t.Run("a record that is not valid is for Verify to find", func(t *testing.T) {
		t.Parallel()
		l := open(t, t.TempDir(), quiet())
		defer l.Close()
		fill(t, l, 3)
		put(t, l, evidence.BlockKey(21), sealed(t, 21, 1, noRater))
		if r, err := l.Verify(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "small letters") || r.Records != 20 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestAMissingBlockIsNamed(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), quiet())
	defer l.Close()
	fill(t, l, 5)
	if err := l.Pebble().Delete(evidence.BlockKey(21), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	r, err := l.Verify(t.Context(), nil)
	if e, ok := errors.AsType[*evidence.BlockError](err); !ok || e.First != 21 || r.Records != 20 || r.Last != 20 || r.Blocks != 2 {
		t.Errorf("got %+v, %v", r, err)
	}
	// And at the end, where no block follows that would show it.
	if err := l.Pebble().Delete(evidence.BlockKey(41), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	for _, err := range l.Entries(t.Context(), 39) {
		if e, ok := errors.AsType[*evidence.BlockError](err); err != nil && (!ok || e.First != 41) {
			t.Errorf("got %v", err)
		}
	}
}

func TestADamagedEndIsToldAtOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, quiet())
	fill(t, l, 3)
	b := block(t, l, 21)
	b[20] ^= 1
	put(t, l, evidence.BlockKey(21), b)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := evidence.Open(dir, quiet())
	if e, ok := errors.AsType[*evidence.BlockError](err); !ok || e.First != 21 {
		t.Errorf("got %v, want a BlockError at 21", err)
	}
}

func TestALogOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		write func(l *evidence.DiskLog)
	}{
		{"format", func(l *evidence.DiskLog) { put(t, l, evidence.MetaFormat, []byte{2}) }},
		{"block", func(l *evidence.DiskLog) { put(t, l, evidence.BlockKey(31), append([]byte{2}, make([]byte, 20)...)) }},
		{"record", func(l *evidence.DiskLog) { put(t, l, evidence.BlockKey(31), sealed(t, 31, 1, []byte{0x20, 1, 2})) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, quiet())
			fill(t, l, 3)
			test.write(l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := evidence.Open(dir, quiet())
			if !errors.Is(err, evidence.ErrNewer) || strings.Contains(err.Error(), "restore") {
				t.Errorf("got %v, want ErrNewer", err)
			}
		})
	}
}

// flip changes one byte of each file of a log that matches, at a part of its length.
func flip(t *testing.T, dir, pattern string, at float64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "log", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 {
			b[int(at*float64(len(b)-1))] ^= 0x10
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A byte that the disk changes is told, or changes nothing; no entry is
// silently lost or altered.
func TestAFlippedByteOnDiskIsNeverSilent(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern string
		flushed bool
	}{{"*.sst", true}, {"*.log", false}} {
		for i := range 12 {
			t.Run(fmt.Sprintf("%s at %d of 12", test.pattern, i), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				l := open(t, dir, quiet())
				fill(t, l, 200)
				if test.flushed {
					if err := l.Pebble().Flush(); err != nil {
						t.Fatal(err)
					}
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				flip(t, dir, test.pattern, float64(i)/12)
				l, err := evidence.Open(dir, quiet())
				if err != nil {
					return // told
				}
				defer l.Close()
				n := 0
				for e, err := range l.Entries(t.Context(), 0) {
					if err != nil {
						if _, verr := l.Verify(t.Context(), nil); verr == nil {
							t.Errorf("Entries says %v and Verify nothing", err)
						}
						return // told
					}
					if e.Record != small(n) {
						t.Fatalf("entry %d was altered: %v", n, e)
					}
					n++
				}
				if n != 2000 {
					t.Errorf("%d of 2000 entries are left, and nobody says so", n)
				}
			})
		}
	}
}

func TestALostEndOfTheLogIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, quiet())
	fill(t, l, 200)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, dir, "*.log", 0.9)
	_, err := evidence.Open(dir, quiet())
	e, ok := errors.AsType[*evidence.LossError](err)
	if !ok || e.Acknowledged != 2000 || e.Last >= 2000 || !strings.Contains(err.Error(), "remove "+filepath.Join(dir, "mark")) {
		t.Fatalf("got %v, want a LossError of 2000 with the mend", err)
	}
	if err := os.Remove(filepath.Join(dir, "mark")); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, quiet())
	defer l.Close()
	if r, err := l.Verify(t.Context(), nil); err != nil || r.Last != e.Last {
		t.Errorf("going on without them: %+v, %v", r, err)
	}
}

func TestAMarkThatIsNoneIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mark"), []byte("soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Open(dir, quiet()); err == nil || !strings.Contains(err.Error(), "mark does not hold a sequence: remove it") {
		t.Errorf("got %v", err)
	}
}

func TestADamagedIndexIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir, quiet())
	appendSentences(t, l, 0, evidence.SegmentSize+10)
	if _, err := l.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	row := evidence.RowKey(0, 0)
	for n := byte(0); ; n++ { // not every row has postings
		row[len(row)-1] = n
		if _, closer, err := l.Pebble().Get(row); err == nil {
			closer.Close()
			break
		}
	}
	for name, damage := range map[string]func(){
		"a row with another posting": func() { put(t, l, row, []byte{1, 2, 3, 4, 5}) },
		"a row that is cut short":    func() { put(t, l, row, []byte{1, 2}) },
		"a row that is gone": func() {
			if err := l.Pebble().Delete(row, pebble.Sync); err != nil {
				t.Fatal(err)
			}
		},
	} {
		damage()
		want := fmt.Sprintf("row %d of the index of sequences 0 to 65535 differs", row[len(row)-1])
		if _, err := l.Verify(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
		// Whatever it holds, About does not crash by it, nor says what is not so.
		for _, s := range asked {
			for e, err := range l.About(t.Context(), s) {
				if err != nil || !s.Covers(e.Subject) && !s.Covers(e.Object) {
					t.Fatalf("%s: about %v: %v, %v", name, s, e, err)
				}
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
