package httpapi

import (
	"bytes"
	"io"
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
		c.r.Body = io.NopCloser(bytes.NewReader(c.body))
	}
	c.s.cfg.SafeBrowsing.ServeHTTP(&statusWriter{c.w, c}, c.r)
	return nil
}

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	c *call
}

func (w *statusWriter) WriteHeader(status int) {
	w.c.status = status
	w.ResponseWriter.WriteHeader(status)
}
