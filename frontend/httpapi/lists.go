package httpapi

import "net/http"

const listsPath = "/lists/"

// lists answers GET /lists/{name} as Config.Lists does, but for its errors.
func (c *call) lists() error {
	if c.s.cfg.Lists == nil {
		return problem(notFound, "this server publishes no lists")
	}
	w := &listWriter{ResponseWriter: c.w, c: c}
	c.s.cfg.Lists.ServeHTTP(w, c.r)
	switch {
	case w.refused == http.StatusServiceUnavailable:
		return problem(notReady, "the first edition of the lists is being made; come back in a moment")
	case w.refused != 0:
		return problem(notFound, "there is no such list; GET /lists/ says which there are")
	}
	return nil
}

// listWriter notes the status, and keeps an error's text back.
type listWriter struct {
	http.ResponseWriter
	c       *call
	refused int
}

func (w *listWriter) WriteHeader(status int) {
	if status >= 400 {
		w.refused = status
		return
	}
	w.c.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *listWriter) Write(b []byte) (int, error) {
	if w.refused != 0 {
		return len(b), nil
	}
	if w.c.status == 0 {
		w.c.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}
