package evidence_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"headlight.example/evidence"
)

func TestABatchIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := samples()
	b, err := evidence.AppendBatch([]byte("before"), want...)
	if err != nil {
		t.Fatal(err)
	}
	es, err := evidence.ReadBatch(b[len("before"):], 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range es {
		if d := cmp.Diff(want[i], e.Record); d != "" || e.Seq != uint64(1<<20-len(want)+1+i) {
			t.Errorf("record %d has sequence %d (-want +got):\n%s", i, e.Seq, d)
		}
	}
	for at := range b[len("before"):] {
		damaged := slices.Clone(b[len("before"):])
		damaged[at] ^= 4
		if _, err := evidence.ReadBatch(damaged, 1<<20); err == nil {
			t.Fatalf("byte %d was changed, and nobody noticed", at)
		}
	}
}

func TestABatchHasBounds(t *testing.T) {
	t.Parallel()
	r := samples()[0]
	// Records of 8,000 bytes fill a batch but for a rest that one more record takes.
	const header, size = 9, 8000
	sized := func(n int) evidence.Record { // n bytes of a batch, with its length
		r := r
		r.Subject = url("a.example/")
		b, err := evidence.AppendBatch(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		// Two lengths, of the record and the key, take a byte more each than in b.
		r.Subject.Key += strings.Repeat("x", n-(len(b)-header)-2)
		return r
	}
	room := evidence.MaxBatchBytes - header
	rs := slices.Repeat([]evidence.Record{sized(size)}, room/size-1)
	rest := room - len(rs)*size // of 8,000 to 15,999 bytes
	rs = append(rs, sized(size/2))
	rest -= size / 2
	if rest > size {
		rs = append(rs, sized(size/2))
		rest -= size / 2
	}
	for _, test := range []struct {
		name    string
		records []evidence.Record
		ok      bool
	}{
		{"no record", nil, false},
		{"as many records as there may be", slices.Repeat([]evidence.Record{r}, evidence.MaxBatch), true},
		{"one more", slices.Repeat([]evidence.Record{r}, evidence.MaxBatch+1), false},
		{"as many bytes as there may be", append(slices.Clip(rs), sized(rest)), true},
		{"one byte more", append(slices.Clip(rs), sized(rest+1)), false},
	} {
		b, err := evidence.AppendBatch(nil, test.records...)
		if (err == nil) != test.ok {
			t.Errorf("%s: %d bytes, %v", test.name, len(b), err)
		}
		if err != nil {
			if _, large := errors.AsType[*evidence.TooLargeError](err); large != (len(test.records) > 0) {
				t.Errorf("%s: got %v", test.name, err)
			}
			continue
		}
		if es, err := evidence.ReadBatch(b, 1<<40); err != nil || len(es) != len(test.records) {
			t.Errorf("%s: read %d records, %v", test.name, len(es), err)
		}
	}
	bad := r
	bad.Rater = "nobody"
	if _, err := evidence.AppendBatch(nil, r, bad); errors.As(err, new(*evidence.TooLargeError)) || !errors.As(err, new(*evidence.RecordError)) {
		t.Errorf("got %v, want a *RecordError", err)
	}
}

func TestABatchOfAStrangerIsRefused(t *testing.T) {
	t.Parallel()
	good, err := evidence.AppendBatch(nil, samples()[0])
	if err != nil {
		t.Fatal(err)
	}
	record := good[9:]
	newer := slices.Clone(good)
	newer[0] = 2
	foul := slices.Clone(record)
	foul[bytes.Index(foul, []byte("a.example"))] = 'A' // not canonical
	for name, b := range map[string][]byte{
		"empty":               {},
		"no records":          evidence.SealBlock(0, 0, nil),
		"fewer than counted":  evidence.SealBlock(0, 2, append(slices.Clip(record), make([]byte, 40)...)),
		"more than counted":   evidence.SealBlock(0, 1, bytes.Repeat(record, 2)),
		"count out of reason": evidence.SealBlock(0, 1<<16, record),
		"not canonical":       evidence.SealBlock(0, 1, foul),
		"newer":               newer,
	} {
		_, err := evidence.ReadBatch(b, 1<<40)
		if err == nil || errors.Is(err, evidence.ErrNewer) != (name == "newer") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := evidence.ReadBatch(good, 0); err == nil {
		t.Error("a record got sequence 0")
	}
}

func FuzzBatch(f *testing.F) {
	good, err := evidence.AppendBatch(nil, samples()...)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(evidence.SealBlock(0, 1, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 9 { // a stranger can compute a checksum
			b = evidence.SealBlock(0, int(binary.LittleEndian.Uint32(b[1:])), b[9:])
		}
		es, err := evidence.ReadBatch(b, 1<<40)
		if err != nil {
			return
		}
		rs := make([]evidence.Record, len(es))
		for i, e := range es {
			rs[i] = e.Record
		}
		again, err := evidence.AppendBatch(nil, rs...)
		if err != nil || !bytes.Equal(b, again) {
			t.Fatalf("%d records have two encodings (%v):\n%x\n%x", len(rs), err, b, again)
		}
	})
}
