package httpapi

import (
	"bytes"
	"net/http"
)

// safeBrowsing answers as Config.SafeBrowsing does, its errors as well: they are
// of the form that the clients of Safe Browsing know.
func (c *call) safeBrowsing() error {
	if c.s.cfg.SafeBrowsing == nil {
		return problem(notFound, "this server does not answer Safe Browsing")
	}
	if c.r.Method == http.MethodPost {
		if err := c.readBody(MaxSafeBrowsing); err != nil {
			return err
		}
		c.r.Body = &heldBody{*bytes.NewBuffer(c.body)}
	}
	c.s.cfg.SafeBrowsing.ServeHTTP(&statusWriter{c.w, c}, c.r)
	return nil
}

// heldBody is a body that was read, and need not be again: it gives its Bytes.
type heldBody struct{ bytes.Buffer }

// Close implements io.Closer.
func (*heldBody) Close() error { return nil }

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	c *call
}

func (w *statusWriter) WriteHeader(status int) {
	w.c.status = status
	w.ResponseWriter.WriteHeader(status)
}
