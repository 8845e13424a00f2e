package probe_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"headlight.example/probe"
)

func loadKeys(t *testing.T, dir string) *probe.Keys {
	t.Helper()
	k, err := probe.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rotate(t *testing.T, dir string) probe.Key {
	t.Helper()
	k, err := probe.RotateKeys(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// age makes the one key of a directory an old one.
func age(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "visit-*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if err := os.Rename(files[0], filepath.Join(dir, "visit-20000101T000000Z.pem")); err != nil {
		t.Fatal(err)
	}
}

// states are the keys of a list in short: "previous signs next".
func states(k *probe.Keys) string {
	var s []string
	for _, key := range k.List(time.Now()) {
		s = append(s, key.State.String())
	}
	return strings.Join(s, " ")
}

// signedBy is the keyid of a visit that is made now.
func signedBy(t *testing.T, p *probe.Prober) string {
	t.Helper()
	request := string(p.RequestFor(parse(t, "http://a.example/"), probe.Exact, probe.ID{}, time.Now()))
	_, id, _ := strings.Cut(request, `;keyid="`)
	id, _, ok := strings.Cut(id, `"`)
	if !ok {
		t.Fatalf("not signed:\n%s", request)
	}
	return id
}

func checkFiles(t *testing.T, dir string, want int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != want {
		t.Errorf("files %v, %v; want %d", files, err, want)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

// A key is published for longer than a directory may be kept before it signs, and
// after it signs no more.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	if _, err := probe.ReadKeys(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("keys that are not there: %v", err)
	}
	if _, err := probe.RotateKeys(dir, time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a rotation of none: %v", err)
	}
	cfg := newWorld(t).config()
	synctest.Test(t, func(t *testing.T) { // it is 2000-01-01
		keys := loadKeys(t, dir)
		cfg.Keys = keys
		p := newProber(t, cfg)
		step := func(after time.Duration, wantStates string, published int, signs string) {
			t.Helper()
			<-time.After(after)
			if got := states(keys); got != wantStates {
				t.Errorf("%s; want %s", got, wantStates)
			}
			if got := directory(t, keys); len(got) != published {
				t.Errorf("%d keys are published, want %d", len(got), published)
			}
			if got := signedBy(t, p); got != signs || keys.ID() != signs {
				t.Errorf("signed by %s, id %s, want %s", got, keys.ID(), signs)
			}
			// A restart then makes no difference.
			if again := loadKeys(t, dir); again.ID() != signs || states(again) != wantStates || string(again.Directory(time.Now())) != string(keys.Directory(time.Now())) {
				t.Errorf("after a restart %s signs; %s", again.ID(), states(again))
			}
		}
		reload := func() {
			t.Helper()
			if err := keys.Reload(); err != nil {
				t.Error(err)
			}
		}
		first := keys.ID()
		step(0, "signs", 1, first)
		second := rotate(t, dir)
		if _, err := probe.RotateKeys(dir, time.Now()); err == nil || !strings.Contains(err.Error(), second.ID) {
			t.Errorf("a second rotation at once: %v", err)
		}
		if d := time.Until(second.From); d != 2*time.Hour || d <= probe.DirectoryAge {
			t.Errorf("a new key signs in %v", d)
		}
		if len(directory(t, keys)) != 1 {
			t.Error("a key was published before the server was told")
		}
		reload()
		step(0, "signs next", 2, first)
		step(time.Hour, "signs next", 2, first)
		reload() // for other reasons
		step(time.Hour-time.Nanosecond, "signs next", 2, first)
		step(time.Nanosecond, "previous signs", 2, second.ID)
		step(1000*time.Hour, "previous signs", 2, second.ID)
		checkFiles(t, dir, 2)

		third := rotate(t, dir)
		reload()
		step(0, "previous signs next", 3, second.ID)
		step(2*time.Hour, "past previous signs", 2, third.ID)
		checkFiles(t, dir, 3)
		fourth := rotate(t, dir) // and what is past is gone
		checkFiles(t, dir, 3)
		reload()
		step(2*time.Hour, "past previous signs", 2, fourth.ID)
	})
}

func TestAKeyThatIsToldOfTooLateWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		keys := loadKeys(t, dir)
		first := keys.ID()
		second := rotate(t, dir)
		<-time.After(time.Hour + time.Minute)
		if err := keys.Reload(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour - time.Nanosecond)
		if err := keys.Reload(); err != nil { // which makes it wait no longer
			t.Fatal(err)
		}
		if keys.ID() != first || len(directory(t, keys)) != 2 {
			t.Errorf("%s signs, %s", keys.ID(), states(keys))
		}
		<-time.After(time.Nanosecond)
		if keys.ID() != second.ID {
			t.Errorf("%s signs, %s", keys.ID(), states(keys))
		}
	})
}

// An operator removes the file of a key that others have read.
func TestAKeyThatOthersHaveReadIsWithdrawn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := loadKeys(t, dir)
	age(t, dir)
	if _, err := probe.RotateKeys(dir, time.Now().Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	leaked := loadKeys(t, dir).ID()
	files, err := filepath.Glob(filepath.Join(dir, "visit-*.pem"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := directory(t, keys); len(got) != 1 || got[0].KID == leaked || keys.ID() != got[0].KID {
		t.Errorf("published %v, %s signs", got, keys.ID())
	}
}

// A copy on another machine says the same, whatever becomes of the files' times.
func TestACopyOfTheKeysSaysTheSame(t *testing.T) {
	t.Parallel()
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	keys := loadKeys(t, dir)
	rotate(t, dir)
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(copied, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if err := os.Chtimes(f, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	if a, b := keys.Directory(now), loadKeys(t, copied).Directory(now); string(a) != string(b) {
		t.Errorf("%s\n%s", a, b)
	}
}

// The key of a build before there were rotations is the oldest, though its file may
// be the youngest.
func TestTheKeyOfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := loadKeys(t, dir)
	files, err := filepath.Glob(filepath.Join(dir, "visit-*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	old := filepath.Join(dir, "visit.pem")
	if err := os.Rename(files[0], old); err != nil {
		t.Fatal(err)
	}
	if keys := loadKeys(t, dir); keys.ID() != first.ID() || states(keys) != "signs" {
		t.Errorf("%s signs, %s", keys.ID(), states(keys))
	}
	made, err := probe.RotateKeys(dir, time.Now().Add(-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if keys := loadKeys(t, dir); keys.ID() != made.ID || states(keys) != "previous signs" {
		t.Errorf("%s signs, %s", keys.ID(), states(keys))
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"not PEM":          "junk",
		"empty":            "",
		"not PKCS #8":      "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"of another curve": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n-----END PRIVATE KEY-----\n", // X25519, RFC 7748 §6.1
	} {
		dir := t.TempDir()
		keys := loadKeys(t, dir)
		id := keys.ID()
		if err := os.WriteFile(filepath.Join(dir, "visit-20260101T000000Z.pem"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := probe.LoadKeys(dir); err == nil {
			t.Errorf("%s: taken for a key", name)
		}
		if err := keys.Reload(); err == nil || keys.ID() != id || len(directory(t, keys)) != 1 {
			t.Errorf("%s: reloaded, %v", name, err)
		}
		if _, err := probe.RotateKeys(dir, time.Now()); err == nil {
			t.Errorf("%s: rotated", name)
		}
	}
	// What does not have a key's name is none.
	dir := t.TempDir()
	for _, name := range []string{"seal.key", ".visit-123", "visit-.pem", "visit-2026.pem", "visit-20261301T000000Z.pem", "visit-20260101T000000Z.pem.bak"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := probe.ReadKeys(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("other files: %v", err)
	}
}

func TestOneKeyIsMadeByAllWhoStartAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() { ids[i] = loadKeys(t, dir).ID() })
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("keys %v", ids)
		}
	}
	checkFiles(t, dir, 1)
}

// Whenever a rotation is killed, the keys are those before it or those after it.
func TestARotationIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	for n := range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "PROBE_TEST_KEYS="+dir, "PROBE_TEST_NOW="+now.Format(time.RFC3339))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		last := ""
		for i := 0; i <= n && lines.Scan(); i++ {
			last = lines.Text()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() {
			last = lines.Text()
		}
		cmd.Wait()
		at, id, _ := strings.Cut(last, " ")
		if now, err = time.Parse(time.RFC3339, at); err != nil {
			t.Fatalf("the last line is %q: %v", last, err)
		}
		keys, err := probe.ReadKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		// The last rotation that was told of is there, and at most one after it.
		list := keys.List(now)
		found := 0
		for i, k := range list {
			if k.ID == id {
				found = len(list) - i
			}
		}
		if found != 1 && found != 2 || len(list) > 4 {
			t.Fatalf("told of %s; keys %v", id, list)
		}
		now = now.Add(24 * time.Hour)
	}
}

// rotateForEver rotates once a day, and tells of each rotation.
func rotateForEver(dir string, now time.Time) error {
	if _, err := probe.LoadKeys(dir); err != nil {
		return err
	}
	for ; ; now = now.Add(12 * time.Hour) {
		k, err := probe.RotateKeys(dir, now)
		if err != nil {
			return err
		}
		fmt.Println(now.Format(time.RFC3339), k.ID)
	}
}
