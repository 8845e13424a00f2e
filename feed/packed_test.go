package feed_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"headlight.example/feed"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipped packs members as archive/zip does, by a descriptor after the data, or
// with CreateRaw by a header that says all beforehand.
func zipped(t testing.TB, method uint16, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		m, err := w.CreateHeader(&zip.FileHeader{Name: members[i], Method: method, Extra: []byte("EX\x00\x00")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(m, members[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// stored is a zip file whose member is not packed and whose header says its
// size and sum, as zip(1) writes it; a folder comes first.
func stored(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if _, err := w.CreateRaw(&zip.FileHeader{Name: "folder/"}); err != nil {
		t.Fatal(err)
	}
	m, err := w.CreateRaw(&zip.FileHeader{
		Name: "folder/a.txt", Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(text)),
		CompressedSize64: uint64(len(text)), UncompressedSize64: uint64(len(text)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(m, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bzipped is "http://a.example/\n", by bzip2(1): the library only reads it.
const bzipped = "BZh91AY&SY\xc55\xb3\xee\x00\x00\x05Y\x80\x00\x10\x00\x01\x80\x10\x22FD@ \x001\x03@\xd0)\xa6\x9e\xa6\xd2~\xa7:\x94\xdc\x16\xdaa\x01\x82\xeeH\xa7\x0a\x12\x18\xa6\xb6}\xc0"

func TestUnpack(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("http://a.example/\n", 5000)
	for name, packed := range map[string][]byte{
		"plain":         []byte(text),
		"gzip":          gzipped(t, text),
		"gzip, in two":  append(gzipped(t, text[:100]), gzipped(t, text[100:])...),
		"zip":           zipped(t, zip.Deflate, "a.csv", text),
		"zip of two":    zipped(t, zip.Deflate, "a.csv", text, "b.csv", "other"),
		"zip, unpacked": stored(t, text),
	} {
		r, err := feed.Unpack(iotest.OneByteReader(bytes.NewReader(packed)), int64(len(text)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(text))
		}
		r, err = feed.Unpack(bytes.NewReader(packed), int64(len(text))-1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err = io.Copy(io.Discard, r); err == nil || !strings.Contains(err.Error(), "bigger than 89999 bytes") {
			t.Errorf("%s: one byte over the bound: %v", name, err)
		}
		if name == "plain" {
			continue
		}
		// Cut anywhere within the packed text, it must not pass for whole.
		for _, cut := range []int{len(text) / 1000, 40, 20, 11, 3} {
			r, err = feed.Unpack(bytes.NewReader(packed[:cut]), feed.DefaultMaxBytes)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err == nil && cut > 3 {
				t.Errorf("%s, cut after %d bytes: no error", name, cut)
			}
		}
	}
}

func TestUnpackReadsBzip2(t *testing.T) {
	t.Parallel()
	r, err := feed.Unpack(strings.NewReader(bzipped), 100)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "http://a.example/\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestUnpackRefusesZipsThatItCannotTrust(t *testing.T) {
	t.Parallel()
	text := "http://a.example/\n"
	wrongSum := stored(t, text)
	at := bytes.Index(wrongSum, []byte(text))
	wrongSum[at+7] = 'b'
	encrypted := zipped(t, zip.Deflate, "a", text)
	encrypted[6] |= 1
	method := zipped(t, zip.Deflate, "a", text)
	method[8] = 12
	descriptor := zipped(t, zip.Deflate, "a", text)
	descriptor[bytes.Index(descriptor, []byte("PK\x07\x08"))+4] ^= 1
	short := stored(t, text)[:at+5]
	var none bytes.Buffer
	w := zip.NewWriter(&none)
	if _, err := w.CreateRaw(&zip.FileHeader{Name: "folder/"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for want, packed := range map[string][]byte{
		"wrong checksum":         wrongSum,
		"unpack zip: wrong":      descriptor,
		"encrypted":              encrypted,
		"packing method 12":      method,
		"unexpected EOF":         short,
		"it has no members":      none.Bytes(),
		"unpack zip: unexpected": []byte("PK\x03\x04..."),
		"unpack gzip":            []byte("\x1f\x8b\x08\x08"),
		"bzip2":                  []byte("BZhx"),
	} {
		r, err := feed.Unpack(bytes.NewReader(packed), 1000)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestABombIsBoundedInSize(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.CopyN(w, endless{"http://a.example/\n"}, 20<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := format(t, "openphish").Check(&b, feed.Options{MaxBytes: 1 << 20})
	if size, ok := errors.AsType[*feed.SizeError](err); !ok || size.Limit != 1<<20 {
		t.Errorf("20 MB in %d bytes: %v", b.Cap(), err)
	}
}

func TestFormatsReadPackedLists(t *testing.T) {
	t.Parallel()
	for _, packed := range []string{string(gzipped(t, "http://a.example/\n")), string(zipped(t, zip.Deflate, "x", "http://a.example/\n")), bzipped} {
		if got := said(format(t, "openphish"), packed, feed.Options{}); len(got) != 1 || got[0] != "url a.example/ phishing" {
			t.Errorf("%.4q…: %q", packed, got)
		}
	}
}
