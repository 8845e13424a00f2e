// Package lists publishes the newest edition as files over HTTP, for programs
// that read a list and know nothing of Headlight.
//
//	files := lists.New(lists.Config{Shelf: publisher.Shelf()})
//	http.Handle("/lists/", files)
//
// A file is made when it is first asked for and kept, compressed, until there is
// another edition. While there is no edition yet the answer is 503, so that nobody
// takes an empty list for the truth.
package lists

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"headlight.example/blocklist"
)

// Config says what is published.
type Config struct {
	Shelf *blocklist.Shelf
	// ID tells this installation's objects from those of others in MISP and STIX;
	// it must stay the same.
	ID [16]byte
}

// Prefix is the path under which the files are.
const Prefix = "/lists/"

// format is a form of the list.
type format struct {
	name  string // below Prefix
	media string
	about string
	write func(f *Files, e *blocklist.Edition, w *writer)
}

var formats = []*format{
	{"hosts.txt", "text/plain; charset=utf-8", "bad names and addresses, one a line; whoever reads it should block all below a name too", writeHosts},
	{"domains.txt", "text/plain; charset=utf-8", "those of them that are registrable domains", writeDomains},
	{"urls.txt", "text/plain; charset=utf-8", "every entry as a URL, one a line; a name as its front page", writeURLs},
	{"hostsfile.txt", "text/plain; charset=utf-8", "bad names in the form of /etc/hosts: 0.0.0.0 name", writeHostsFile},
	{"list.csv", "text/csv; charset=utf-8; header=present", "every entry: expression, kind, threat, since", writeCSV},
	{"list.jsonl", "application/jsonl", "the same as JSON lines", writeJSONLines},
	{"rpz.zone", "text/dns", "bad names as a response policy zone: NXDOMAIN for them and all below", writeZone},
	{"stix.json", "application/stix+json;version=2.1", "a STIX 2.1 bundle of indicators; what was taken back lately is revoked", writeSTIX},
	{"misp/manifest.json", "application/json", "a MISP feed: add the URL of the folder misp/ to MISP", writeManifest},
	{"misp/event.json", "application/json", "the feed's one event; the manifest names it by its UUID", writeEvent},
	{"misp/hashes.csv", "text/csv; charset=utf-8; header=absent", "the feed's MD5 hashes", writeHashes},
}

// Files answers requests for the files. It is safe for concurrent use.
type Files struct {
	shelf *blocklist.Shelf
	id    [16]byte

	mu   sync.Mutex
	made map[*format]*file
}

// file is one form of one edition.
type file struct {
	edition *blocklist.Edition
	ready   sync.WaitGroup
	zipped  []byte
	size    int64  // of the text
	tag     string // hex of a hash of the text
}

// New makes Files.
func New(cfg Config) *Files {
	return &Files{shelf: cfg.Shelf, id: cfg.ID, made: make(map[*format]*file)}
}

// find gives the form that a path names, nil if none.
func (f *Files) find(name string) *format {
	if dir, base := path.Split(name); dir == "misp/" && base == f.event().String()+".json" {
		name = "misp/event.json"
	}
	i := slices.IndexFunc(formats, func(x *format) bool { return x.name == name })
	if i < 0 {
		return nil
	}
	return formats[i]
}

// get gives the form of an edition. Who comes while it is made waits for it.
func (f *Files) get(x *format, e *blocklist.Edition) *file {
	f.mu.Lock()
	made := f.made[x]
	if made != nil && made.edition == e {
		f.mu.Unlock()
		made.ready.Wait()
		return made
	}
	made = &file{edition: e}
	made.ready.Add(1)
	f.made[x] = made
	f.mu.Unlock()
	defer made.ready.Done()
	var zipped bytes.Buffer
	z, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed) // the level is a valid one
	hash := sha256.New()
	w := &writer{to: io.MultiWriter(z, hash)}
	x.write(f, e, w)
	w.flush()
	z.Close() // bytes.Buffer does not fail
	made.zipped, made.size, made.tag = slices.Clip(zipped.Bytes()), w.size, hex.EncodeToString(hash.Sum(nil)[:12])
	return made
}

// ServeHTTP answers GET and HEAD below Prefix.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	name, ok := strings.CutPrefix(r.URL.Path+"/", Prefix)
	if name = strings.TrimSuffix(name, "/"); !ok {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	e := f.shelf.Latest()
	if e == nil {
		h.Set("Retry-After", "5")
		http.Error(w, "the first edition is being made", http.StatusServiceUnavailable)
		return
	}
	if name == "" {
		f.index(w, r, e)
		return
	}
	x := f.find(name)
	if x == nil {
		http.Error(w, "there is no such list; "+Prefix+" says which there are", http.StatusNotFound)
		return
	}
	made := f.get(x, e)
	zip := takesGzip(r.Header.Values("Accept-Encoding"))
	h.Set("Content-Type", x.media)
	h.Set("Cache-Control", "no-cache") // ask each time whether it is still so
	h.Set("Vary", "Accept-Encoding")
	h.Set("Last-Modified", e.Made().Format(http.TimeFormat))
	tag := `"` + made.tag + `"`
	length := made.size
	if zip {
		tag = `"` + made.tag + `-gzip"`
		length = int64(len(made.zipped))
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if notModified(r.Header, made.tag, e) {
		h.Del("Content-Encoding")
		h.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	if zip {
		w.Write(made.zipped)
		return
	}
	if z, err := gzip.NewReader(bytes.NewReader(made.zipped)); err == nil {
		io.Copy(w, z) // the client may be gone
	}
}

// notModified says whether what the client has is still so (RFC 9110 §13.2.2).
func notModified(h http.Header, tag string, e *blocklist.Edition) bool {
	if tags := h.Values("If-None-Match"); len(tags) > 0 {
		for t := range strings.SplitSeq(strings.Join(tags, ","), ",") {
			t = strings.TrimPrefix(strings.TrimSpace(t), "W/")
			if t == "*" || t == `"`+tag+`"` || t == `"`+tag+`-gzip"` {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(h.Get("If-Modified-Since"))
	return err == nil && !e.Made().After(since)
}

// takesGzip reads Accept-Encoding (RFC 9110 §12.5.3) as far as gzip goes.
func takesGzip(values []string) bool {
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		if coding = strings.TrimSpace(coding); !strings.EqualFold(coding, "gzip") && coding != "*" {
			continue
		}
		q, has := strings.CutPrefix(strings.TrimSpace(params), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !has || err == nil && weight > 0
	}
	return false
}

//go:embed index.html
var indexText string

var indexPage = template.Must(template.New("lists").Parse(indexText))

// index says what there is.
func (f *Files) index(w http.ResponseWriter, r *http.Request, e *blocklist.Edition) {
	type row struct{ Name, About string }
	page := struct {
		Serial uint32
		Made   string
		Len    int
		Rows   []row
	}{e.Serial(), e.Made().Format("2006-01-02 15:04:05"), e.Len(), nil}
	for _, x := range formats {
		name := x.name
		if name == "misp/event.json" {
			name = "misp/" + f.event().String() + ".json"
		}
		page.Rows = append(page.Rows, row{name, x.about})
	}
	var b bytes.Buffer
	if err := indexPage.Execute(&b, page); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(b.Bytes())
	}
}

// writer gathers text and counts it.
type writer struct {
	to   io.Writer
	b    []byte
	size int64
}

// line writes parts and a line feed.
func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.b = append(w.b, p...)
	}
	w.b = append(w.b, '\n')
	w.spill()
}

func (w *writer) spill() {
	if len(w.b) >= 64<<10 {
		w.flush()
	}
}

func (w *writer) flush() {
	w.to.Write(w.b) // memory does not fail
	w.size += int64(len(w.b))
	w.b = w.b[:0]
}
