package httpapi

import (
	"net/http"
	"time"
)

// For the tests that compare the fast reader with the strict one, and those
// that need a limiter by itself.

func FastLinks(body []byte) (links []string, ok bool) {
	text, ends, ok := fastLinks(body, nil, nil, maxLinks)
	begin := 0
	for _, end := range ends {
		links = append(links, string(text[begin:end]))
		begin = end
	}
	return links, ok
}

func StrictLinks(body []byte) ([]string, error) { return decodeCheck(body) }

func FastScan(body []byte) (typ, text string, ok bool) {
	typ, b, ok := fastScan(body)
	return typ, string(b), ok
}

func StrictScan(body []byte) (typ, text string, err error) {
	s, err := decodeScan(body)
	return s.typ, s.text, err
}

var (
	AppendString = appendString
	AppendNumber = appendNumber
	AppendTime   = appendTime
	AppendID     = appendID
	When         = when
)

// IDOf spells the id of a review.
func IDOf(h uint64) string { return string(appendHash(nil, h)) }

const (
	MaxLinks   = maxLinks
	MaxReports = maxReports
	MaxClients = maxClients
	FreeBody   = freeBody
	MaxCheck   = maxCheckBytes
)

type Limiter = limiter

var NewLimiter = newLimiter

func (l *limiter) Take(client string, now time.Time) (time.Duration, bool) {
	return l.take(client, now)
}

func (l *limiter) Len() int { return len(l.younger) + len(l.older) }

var ClientOf = clientOf

// Settles says whether a body settles a case.
func Settles(body []byte) bool {
	_, err := decodeSettle(body)
	return err == nil && len(body) <= maxSettleBytes
}

// Routes are method and pattern of each call.
func (s *Server) Routes() (all [][2]string) {
	for _, r := range s.routes {
		switch {
		case r.method != "":
			all = append(all, [2]string{r.method, r.pattern})
		case r.pattern == "/v4/{method}":
			all = append(all, [2]string{http.MethodGet, r.pattern}, [2]string{http.MethodPost, r.pattern})
		default:
			all = append(all, [2]string{http.MethodGet, r.pattern})
		}
	}
	return all
}

// MemoryLeft is what is not taken of MaxBodyMemory.
func (s *Server) MemoryLeft() int64 { return s.memory.left.Load() }

// ProblemKinds are the names of the kinds of problems.
func ProblemKinds() (names []string) {
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// SetRoute puts another handler in the place of one, for the tests of what no
// client can cause.
func (s *Server) SetRoute(path string, f func() error) {
	s.routes[path].handle = func(*call) error { return f() }
}
