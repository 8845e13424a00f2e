// Package safebrowsing publishes the newest edition to clients of Safe Browsing:
// browsers and whatever else speaks version 5, version 4, or Web Risk.
//
//	s := safebrowsing.New(safebrowsing.Config{Shelf: publisher.Shelf()})
//	go s.Run(ctx)
//	http.Handle("/v5/", s)
//	http.Handle("/v4/", s)
//
// Answers agree with the published edition, as those of DNS and the list files do:
// a prefix on a client's list is one whose full hash it is told, and what is taken
// back is gone from both at once.
//
// Messages are read and written by google.golang.org/protobuf with code generated
// from v4/v4.proto and v5/v5.proto: one definition serves both protobuf and JSON,
// with their rules for names, numbers and base64, that hand-written codecs would
// have to have twice. Large lists are encoded once and written as they are; questions
// about URLs that look as usual are read and answered by hand, several times as fast.
//
// While there is no edition yet the answer is 503, so that nobody takes an empty
// list for the truth. URLs and hashes that are asked for reach no log and no metric.
package safebrowsing

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"headlight.example/blocklist"
)

// Config says what is published.
type Config struct {
	Shelf *blocklist.Shelf
	// ID tells this installation's versions from those of others; it must stay the
	// same, or clients take the whole once more.
	ID [4]byte
}

// MaxBody bounds the body of a request: 500 URLs of half a kilobyte, say.
const MaxBody = 256 << 10

const (
	// cacheFor is how long a client may believe an answer about a hash. What is
	// taken back is blocked for as long as that at most, whatever lists it has.
	cacheFor = 5 * time.Minute
	// waitFor is how long a client shall wait until it asks for lists again.
	// Firefox makes four updates an hour at most.
	waitFor = 15 * time.Minute

	maxPrefixes = 1000 // of a search: the most that v5 allows
	maxURLs     = 500  // of a v4 question: the most that v4 allows
	maxURLsV5   = 50   // the most that v5 allows
	maxLists    = 64   // of an update: browsers ask for ten
	maxMatches  = 10_000

	// maxHeld bounds what is held of large answers that are no client's but one's,
	// matches and lists as JSON or cut to its size: 40 lists of a million entries as JSON, say. Beyond it
	// one who wants such an answer is to come again. Protobuf is kept once for all.
	maxHeld = 256 << 20
	// freeHeld is how large such an answer may be without drawing on that.
	freeHeld = 64 << 10
)

// Server answers requests. It is safe for concurrent use.
type Server struct {
	cfg     Config
	current atomic.Pointer[state]
	making  sync.Mutex
	slots   chan struct{} // for work that is done again for each request
	held    atomic.Int64  // bytes of answers that are made for one request alone
}

// New makes a Server.
func New(cfg Config) *Server {
	return &Server{cfg: cfg, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// Run makes the lists of each edition when it is there, until ctx is done: so that
// nobody waits for them who asks.
func (s *Server) Run(ctx context.Context) error {
	for {
		changed := s.cfg.Shelf.Changed()
		if st := s.state(); st != nil {
			for l := range numLists {
				s.update(st, l, 4, nil, limits{}, form{rice: true}, writeV5)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// state gives the lists of the newest edition, nil if there is none. Who comes
// while they are made gets those of the edition before.
func (s *Server) state() *state {
	latest, st := s.cfg.Shelf.Latest(), s.current.Load()
	if latest == nil || st != nil && st.edition == latest {
		return st
	}
	if st == nil {
		s.making.Lock()
	} else if !s.making.TryLock() {
		return st
	}
	defer s.making.Unlock()
	st, latest = s.current.Load(), s.cfg.Shelf.Latest()
	if st == nil || st.edition != latest {
		st = s.after(st, latest)
		s.current.Store(st)
	}
	return st
}

// refusal is an error that the client is told.
type refusal struct {
	code   int
	status string // of google.rpc.Code
	text   string
}

func (r *refusal) Error() string { return r.text }

func invalid(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, "INVALID_ARGUMENT", fmt.Sprintf(format, args...)}
}

func missing(format string, args ...any) error {
	return &refusal{http.StatusNotFound, "NOT_FOUND", fmt.Sprintf(format, args...)}
}

// request is one of a client.
type request struct {
	*http.Request
	query url.Values
	body  []byte
	held  int64 // of Server.held
}

// hold counts n bytes of an answer until it has been sent, if there is room.
func (s *Server) hold(r *request, n int) error {
	if n <= freeHeld {
		return nil
	}
	if s.held.Add(int64(n)) > maxHeld {
		s.held.Add(-int64(n))
		return &refusal{http.StatusServiceUnavailable, "UNAVAILABLE", "too many large answers are under way; ask for protobuf, or come back in a moment"}
	}
	r.held += int64(n)
	return nil
}

// ServeHTTP answers below /v4/ and /v5/, and Web Risk's /v1/uris:search and
// /v1/hashes:search.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, query: r.URL.Query()}
	defer func() { s.held.Add(-q.held) }()
	if err := s.answer(w, q); err != nil {
		refuse(w, err)
	}
}

func (s *Server) answer(w http.ResponseWriter, r *request) error {
	st := s.state()
	if st == nil {
		w.Header().Set("Retry-After", "5")
		return &refusal{http.StatusServiceUnavailable, "UNAVAILABLE", "the first edition is being made"}
	}
	call, ok := calls[r.URL.Path]
	if !ok {
		for _, prefix := range prefixCalls {
			if rest, found := strings.CutPrefix(r.URL.Path, prefix); found {
				call, ok = calls[prefix], rest != ""
			}
		}
	}
	if !ok {
		return missing("there is no such method")
	}
	method := r.Method
	switch {
	case method == http.MethodHead:
		method = http.MethodGet
	case call.post && method == http.MethodGet && (r.query.Has("$req") || r.query.Get("$httpMethod") == http.MethodPost):
		method = http.MethodPost // as browsers do it
	}
	if (method == http.MethodPost) != call.post || method != http.MethodPost && method != http.MethodGet {
		allow := "GET, HEAD"
		if call.post {
			allow = "POST"
		}
		w.Header().Set("Allow", allow)
		return &refusal{http.StatusMethodNotAllowed, "UNIMPLEMENTED", "the method takes " + allow}
	}
	if r.Method == http.MethodPost {
		if err := r.readBody(w); err != nil {
			return err
		}
	}
	return call.handle(s, st, w, r)
}

var tooLong = &refusal{http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "the body is over " + strconv.Itoa(MaxBody) + " bytes"}

// readBody reads the body, unless whoever passes the request on has it in memory.
func (r *request) readBody(w http.ResponseWriter) (err error) {
	if held, ok := r.Body.(interface{ Bytes() []byte }); ok {
		if r.body = held.Bytes(); len(r.body) > MaxBody {
			return tooLong
		}
		return nil
	}
	if r.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return tooLong
		}
		return invalid("the body could not be read")
	}
	return nil
}

// handler answers one method.
type handler struct {
	post   bool
	handle func(*Server, *state, http.ResponseWriter, *request) error
}

// calls are the methods, by path, or by the beginning of one.
var calls = map[string]handler{
	"/v5/hashLists:batchGet": {false, (*Server).batchGet},
	"/v5/hashList/":          {false, (*Server).getList},
	"/v5/hashLists":          {false, (*Server).listLists},
	"/v5/hashes:search":      {false, (*Server).searchHashes},
	"/v5/urls:search":        {false, (*Server).searchURLs},

	"/v4/threatListUpdates:fetch": {true, (*Server).fetchUpdates},
	"/v4/fullHashes:find":         {true, (*Server).findHashes},
	"/v4/threatMatches:find":      {true, (*Server).findMatches},
	"/v4/threatHits":              {true, (*Server).takeHit},
	"/v4/threatLists":             {false, (*Server).threatLists},
	"/v4/encodedUpdates/":         {false, (*Server).encodedUpdates},
	"/v4/encodedFullHashes/":      {false, (*Server).encodedHashes},

	"/v1/uris:search":   {false, (*Server).webRiskURI},
	"/v1/hashes:search": {false, (*Server).webRiskHashes},
}

var prefixCalls = []string{"/v5/hashList/", "/v4/encodedUpdates/", "/v4/encodedFullHashes/"}

func refuse(w http.ResponseWriter, err error) {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		r = &refusal{http.StatusInternalServerError, "INTERNAL", "the request could not be answered"}
	}
	type details struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Status  string `json:"status"`
	}
	b, _ := json.Marshal(map[string]details{"error": {r.code, r.text, r.status}}) // strings and numbers
	send(w, r.code, jsonMedia, b)
}

const (
	jsonMedia  = "application/json; charset=utf-8"
	protoMedia = "application/x-protobuf"
)

// Values of headers that every answer has, made once.
var (
	medias  = map[string][]string{jsonMedia: {jsonMedia}, protoMedia: {protoMedia}}
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// send writes an answer of one or more parts.
func send(w http.ResponseWriter, code int, media string, parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	h := w.Header()
	h["Content-Type"] = medias[media]
	if n > 2048 { // net/http counts what fits its own buffer
		h.Set("Content-Length", strconv.Itoa(n))
	}
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	w.WriteHeader(code)
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return // the client is gone
		}
	}
}

// sendMessage writes a message in the form that the client wants.
func (s *Server) sendMessage(w http.ResponseWriter, r *request, binary bool, m proto.Message) error {
	marshal, media := protojson.Marshal, jsonMedia
	if binary {
		marshal, media = proto.Marshal, protoMedia
	}
	b, err := marshal(m)
	if err != nil {
		return err
	}
	// A question of 256 KiB about a name that is listed can have an answer of ten
	// times that.
	if err := s.hold(r, len(b)); err != nil {
		return err
	}
	send(w, http.StatusOK, media, b)
	return nil
}

// sendParts writes a message whose encoding is there in parts.
func (s *Server) sendParts(w http.ResponseWriter, r *request, binary bool, into proto.Message, parts [][]byte) error {
	if binary {
		send(w, http.StatusOK, protoMedia, parts...)
		return nil
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	if err := s.hold(r, 2*n); err != nil { // base64 takes a third more
		return err
	}
	b, err := s.asJSON(into, parts)
	if err != nil {
		return err
	}
	send(w, http.StatusOK, jsonMedia, b)
	return nil
}

// asJSON makes JSON of a message whose encoding is there in parts. What is made is
// sent without a slot: whoever reads slowly must not keep others waiting.
func (s *Server) asJSON(into proto.Message, parts [][]byte) ([]byte, error) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	if err := proto.Unmarshal(bytes.Join(parts, nil), into); err != nil {
		return nil, err
	}
	return protojson.Marshal(into)
}

const binaryMedia = "protobuf" // application/x-protobuf, application/protobuf, …

// binaryV5 says whether a client of version 5 wants protobuf. Browsers and the
// generated clients send the same Accept, and want different things.
func (r *request) binaryV5() bool {
	switch {
	case r.query.Get("alt") == "json":
		return false
	case r.query.Get("alt") == "proto", strings.Contains(r.query.Get("$ct"), binaryMedia):
		return true
	}
	return r.Header.Get("X-Goog-Api-Client") == "" && !strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "application/json")
}

// binaryV4 is the same for version 4.
func (r *request) binaryV4() bool {
	return r.query.Get("alt") == "proto" || strings.Contains(r.query.Get("$ct"), binaryMedia) ||
		strings.Contains(r.Header.Get("Content-Type"), binaryMedia)
}

// unknownAllowed skips what we do not know, as protobuf does.
var unknownAllowed = protojson.UnmarshalOptions{DiscardUnknown: true}

// readV4 reads the message of a request of version 4: in the body, or in $req as
// protobuf.
func (r *request) readV4(m proto.Message) error {
	if r.Method != http.MethodPost {
		return readEncoded(r.query.Get("$req"), m)
	}
	if media := r.Header.Get("Content-Type"); strings.Contains(media, binaryMedia) || r.binaryV4() && !strings.Contains(media, "json") {
		return readBinary(r.body, m)
	}
	if len(r.body) == 0 {
		return nil
	}
	if err := unknownAllowed.Unmarshal(r.body, m); err != nil {
		return invalid("the body is not the JSON of a request")
	}
	return nil
}

func readBinary(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return invalid("the request is not a protobuf message of its kind")
	}
	return nil
}

// readEncoded reads a message that stands in a URL.
func readEncoded(text string, m proto.Message) error {
	b, err := fromBase64(text)
	if err != nil {
		return invalid("the request is not base64")
	}
	return readBinary(b, m)
}

// fromBase64 reads either alphabet, padded or not.
func fromBase64(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	if strings.ContainsAny(text, "+/ ") { // a plus that nobody escaped is a space
		return base64.RawStdEncoding.DecodeString(strings.ReplaceAll(text, " ", "+"))
	}
	return base64.RawURLEncoding.DecodeString(text)
}

func forSeconds(d time.Duration) *durationpb.Duration { return durationpb.New(d) }
