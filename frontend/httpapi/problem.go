package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// A Problem is what a client gets instead of an answer: a problem document
// (RFC 9457). Its kind is stable; its detail is a sentence for a person.
type Problem struct {
	kind   *kind
	detail string

	field      string        // the member of the body it is about, such as "reports[2].url"; "" if none
	retryAfter time.Duration // 0: not given
	allow      string        // the Allow header of 405
	cause      error         // for the operator's log; the client is not told
}

// Error gives the detail; it may quote what the client sent, so it is not
// for the log.
func (p *Problem) Error() string { return p.detail }

// Unwrap gives what the operator should know.
func (p *Problem) Unwrap() error { return p.cause }

// kind is a class of problems. Its name makes the type URI,
// "/problems/" + name, under which the server explains it.
type kind struct {
	name   string
	status int
	title  string
	about  string
}

// The kinds of problems. Names are part of the API: add, never rename.
var (
	notJSON = &kind{"not-json", http.StatusBadRequest, "The body is not one JSON value",
		"The request's body must be exactly one JSON object. The offset in the detail counts bytes from 0."}
	badField = &kind{"bad-field", http.StatusBadRequest, "A member of the body is wrong",
		"A member of the body is unknown, missing, given twice, of the wrong type, or has a value that is not allowed. The member \"field\" names it."}
	brokenBody = &kind{"broken-body", http.StatusBadRequest, "The body could not be read",
		"The body ended before its announced length, or could not be decompressed."}
	badSubject = &kind{"bad-subject", http.StatusBadRequest, "This is no subject",
		"The path must name a kind (url, path, host, tenant, domain, suffix, addr, subnet, prefix, as, nameserver, fact) and a key of that kind, percent-encoded."}
	unauthenticated = &kind{"unauthenticated", http.StatusUnauthorized, "A token is needed",
		"The call needs a known token in the header \"Authorization: Bearer TOKEN\". Tokens are handed out by the operator."}
	forbidden = &kind{"forbidden", http.StatusForbidden, "The token does not allow this",
		"The token is known, but is not for this call; or the call comes from a page of another site."}
	notFound = &kind{"not-found", http.StatusNotFound, "There is nothing here",
		"No resource has this path. GET /openapi.json lists them."}
	wrongMethod = &kind{"wrong-method", http.StatusMethodNotAllowed, "The method is not for this resource",
		"The header \"Allow\" names the methods that are."}
	tooSlow = &kind{"too-slow", http.StatusRequestTimeout, "The body came too slowly",
		"The body did not arrive within the time that the server waits."}
	tooLarge = &kind{"too-large", http.StatusRequestEntityTooLarge, "The request is too large",
		"The body, or a list in it, is over the bound that the detail names. Send it in several requests."}
	wrongMediaType = &kind{"wrong-media-type", http.StatusUnsupportedMediaType, "The body's type is not understood",
		"The body must be sent as application/json, in UTF-8, plain or gzipped."}
	misdirected = &kind{"misdirected", http.StatusMisdirectedRequest, "The server does not go by this name",
		"A server that listens on a loopback address answers only to addresses, to localhost, and to the names in its configuration, so that no web page can reach it under a name of its own."}
	tooMany = &kind{"too-many-requests", http.StatusTooManyRequests, "Too many requests",
		"The client is over its rate. The header \"Retry-After\" says when to come back."}
	internal = &kind{"internal", http.StatusInternalServerError, "The server is at fault",
		"Something is broken in the server. The instance stands in the operator's log."}
	overloaded = &kind{"overloaded", http.StatusServiceUnavailable, "The server is busy",
		"The server holds as many large requests, or as many listeners, as it may. Come back after the time in \"Retry-After\"."}
	notReady = &kind{"not-ready", http.StatusServiceUnavailable, "The service is not ready",
		"Evidence cannot be stored at present. Questions may still be answered, from what is known. What was reported is not acknowledged: send it again later, which does no harm."}
)

var kinds = []*kind{
	notJSON, badField, brokenBody, badSubject, unauthenticated, forbidden, notFound, wrongMethod, tooSlow,
	tooLarge, wrongMediaType, misdirected, tooMany, internal, overloaded, notReady,
}

func problem(k *kind, format string, args ...any) *Problem {
	return &Problem{kind: k, detail: fmt.Sprintf(format, args...)}
}

// wrong is a badField problem.
func wrong(field, format string, args ...any) *Problem {
	p := problem(badField, format, args...)
	p.field = field
	return p
}

const problemsPath = "/problems/"

// problemType is the media type of RFC 9457 §3.
var problemType = []string{"application/problem+json"}

// appendProblem writes the document. Instance is unique to the request, and
// stands in the log.
func appendProblem(b []byte, p *Problem, instance string) []byte {
	b = append(b, `{"type":`...)
	b = appendString(b, problemsPath+p.kind.name)
	b = append(b, `,"title":`...)
	b = appendString(b, p.kind.title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(p.kind.status), 10)
	b = append(b, `,"detail":`...)
	b = appendString(b, p.detail)
	b = append(b, `,"instance":`...)
	b = appendString(b, instance)
	if p.field != "" {
		b = append(b, `,"field":`...)
		b = appendString(b, p.field)
	}
	return append(b, "}\n"...)
}

// fail answers with a problem document.
func (c *call) fail(p *Problem) {
	h := c.w.Header()
	if p.retryAfter > 0 {
		seconds := int64((p.retryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.kind == unauthenticated {
		h.Set("WWW-Authenticate", `Bearer realm="headlight"`) // RFC 6750 §3
	}
	c.out = appendProblem(c.out[:0], p, c.instance())
	c.send(p.kind.status, problemType, c.out)
}
