package evidence_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dchest/siphash"

	"headlight.example/evidence"
	"headlight.example/link"
)

func parse(t *testing.T, s string) link.Link {
	t.Helper()
	l, err := link.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAHashIsSipHashMadeDistinctByKind(t *testing.T) {
	k := &evidence.Key{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	k0, k1 := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
	seen := map[uint64]bool{}
	for kind := range evidence.Sealed + 1 {
		for _, key := range []string{"", "a", "a.example", "a.example/#x", strings.Repeat("x", 1000)} {
			got := k.Hash(kind, key)
			want := siphash.Hash(k0^uint64(kind)*0x9e3779b97f4a7c15, k1, []byte(key))
			if got != want || seen[got] {
				t.Errorf("%d %.20q: got %#x, want %#x", kind, key, got, want)
			}
			seen[got] = true
		}
	}
	other := *k
	other[15]++
	if other.Hash(evidence.URL, "a") == k.Hash(evidence.URL, "a") {
		t.Error("two keys give one hash")
	}
	key := strings.Repeat("x", 200)
	if n := testing.AllocsPerRun(100, func() { k.Hash(evidence.URL, key) }); n != 0 {
		t.Errorf("Hash allocates %v times", n)
	}
}

func TestASealedLinkHasTheHashesOfTheLinkInClear(t *testing.T) {
	k := &evidence.Key{42}
	for _, raw := range []string{"http://a.example/", "http://a.example/y", "https://a.example/x/y?token=secret", "http://192.0.2.1/x/y"} {
		l := parse(t, raw)
		s := k.Seal(l)
		if err := s.Validate(); err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if strings.Contains(s.Key, "secret") || s.Host() != l.Host() {
			t.Errorf("%s is sealed as %s", raw, s.Key)
		}
		parts, err := evidence.ParseSealed(s.Key)
		if err != nil {
			t.Fatal(err)
		}
		if parts.Host != l.Host() || k.Hash(evidence.URL, parts.URL) != k.Hash(evidence.URL, l.URL()) {
			t.Errorf("%s: got %+v", raw, parts)
		}
		if (parts.Path == "") != (l.Path() == "") || l.Path() != "" && k.Hash(evidence.Path, parts.Path) != k.Hash(evidence.Path, l.Path()) {
			t.Errorf("%s: got path %q of %q", raw, parts.Path, l.Path())
		}
		if tenant := l.Tenant(); strings.Contains(tenant, "/") != (parts.Tenant != "") ||
			parts.Tenant != "" && k.Hash(evidence.Tenant, parts.Tenant) != k.Hash(evidence.Tenant, tenant) {
			t.Errorf("%s: got tenant %q of %q", raw, parts.Tenant, tenant)
		}
		if n := testing.AllocsPerRun(100, func() { evidence.ParseSealed(s.Key); k.Hash(evidence.URL, parts.URL) }); n != 0 {
			t.Errorf("reading a sealed URL allocates %v times", n)
		}
	}
}

func FuzzParseSealed(f *testing.F) {
	k := &evidence.Key{42}
	f.Add("a.example/#/#0000000000002")
	f.Add("a.example/#0000000000002/#/#zzzzzzzzzzzzy")
	f.Add("a.example/#0000000000002/#0000000000004/#0000000000006")
	f.Add("a.example/#/#0000000000002/~x")
	f.Add("a.example/#/#0000000000002/~")
	f.Fuzz(func(t *testing.T, key string) {
		s, err := evidence.ParseSealed(key)
		if err != nil {
			return
		}
		path := s.Path
		if path == "" {
			path = "#"
		}
		again := s.Host + "/" + path + "/" + s.URL
		if s.Tenant != "" {
			again = s.Host + "/" + s.Tenant + "/" + path + "/" + s.URL
		}
		if s.Traits != "" {
			again += "/~" + s.Traits
		}
		if again != key {
			t.Errorf("%q is read as %+v", key, s)
		}
		for _, part := range []string{s.Tenant, s.Path, s.URL} {
			if part != "" && (k.Hash(evidence.URL, part) != k.Hash(evidence.Host, part) || k.Hash(evidence.URL, part) == 0) {
				t.Errorf("%q does not spell its hash", part)
			}
		}
	})
}

func TestAKeyIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := evidence.ReadKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that is not there: %v", err)
	}
	keys := make([]*evidence.Key, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], err = evidence.LoadKey(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	name := filepath.Join(dir, "keys", "seal.key")
	for _, k := range keys {
		if k == nil || *k != *keys[0] || *k == (evidence.Key{}) {
			t.Fatalf("%d starts at once read different keys", len(keys))
		}
	}
	read, err := evidence.ReadKey(dir)
	if err != nil || *read != *keys[0] || read.Fingerprint() != keys[0].Fingerprint() || read.Fingerprint() == new(evidence.Key).Fingerprint() {
		t.Errorf("read %v, %v", read, err)
	}
	if got := new(evidence.Key).Fingerprint(); len(got) != 32 || strings.Contains(got, "00000000") {
		t.Errorf("fingerprint %s", got)
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode() != 0o600 || info.Size() != 16 {
		t.Errorf("got %v, %v", info, err)
	}
	if files, err := os.ReadDir(filepath.Dir(name)); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	for _, size := range []int{0, 15, 17} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.LoadKey(dir); err == nil || !strings.Contains(err.Error(), "restore it from a copy") {
			t.Errorf("a key of %d bytes: %v", size, err)
		}
	}
}
