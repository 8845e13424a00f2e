package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"headlight.example/probe"
)

// route is one call of the API. There is one method for each path.
type route struct {
	method  string // "": the handler sees to it
	pattern string // as in OpenAPI; also its label in metrics and logs
	access  access
	keyed   bool // a token may also stand where Google's clients put their key
	handle  func(*call) error
	counts  routeMetrics
}

// resources are the calls of the API, by path, or by prefix if the pattern has
// parameters. Each stands in openapi.json, which a test asserts.
func (s *Server) resources() map[string]*route {
	m := make(map[string]*route)
	add := func(method, pattern string, access access, handle func(*call) error) {
		at, _, _ := strings.Cut(pattern, "{")
		m[at] = &route{method: method, pattern: pattern, access: access, handle: handle}
	}
	add(http.MethodPost, "/v1/scan", asking, (*call).scan)
	add(http.MethodPost, "/v1/check", asking, (*call).check)
	add(http.MethodPost, "/v1/reports", reporting, (*call).report)
	add(http.MethodPost, "/v1/appeals", appealing, (*call).appeal)
	add(http.MethodGet, "/v1/subjects/{kind}/{key}", asking, (*call).subject)
	add(http.MethodGet, "/v1/reviews", reviewing, (*call).reviews)
	add(http.MethodPost, "/v1/reviews/{id}", reviewing, (*call).settle)
	add(http.MethodGet, "/v1/changes", asking, (*call).changes)
	add(http.MethodGet, "/lists", asking, (*call).lists)
	add(http.MethodGet, listsPath+"{name}", asking, (*call).lists)
	for _, pattern := range []string{"/v4/{method}", "/v5/{method}", "/v1/uris:search", "/v1/hashes:search"} {
		add("", pattern, asking, (*call).safeBrowsing)
		at, _, _ := strings.Cut(pattern, "{")
		m[at].keyed = true
	}
	add(http.MethodGet, "/v1/visits/{id}", open, (*call).visit)
	add(http.MethodPost, haltPath, reviewing, (*call).halt)
	add(http.MethodGet, visitsPage, open, (*call).visits)
	add(http.MethodGet, probe.DirectoryPath, open, (*call).keyDirectory)
	add(http.MethodGet, "/openapi.json", open, (*call).openAPI)
	add(http.MethodGet, "/metrics", open, (*call).metrics)
	add(http.MethodGet, "/healthz", open, (*call).healthy)
	add(http.MethodGet, "/readyz", open, (*call).ready)
	add(http.MethodGet, "/problems/{name}", open, (*call).explainProblem)
	add(http.MethodGet, "/", open, (*call).index)
	return m
}

// find gives the route of a request. It does not clean the path: a key may be
// a URL, with two slashes in it.
func (s *Server) find(r *http.Request) (*route, error) {
	route := s.routes[r.URL.Path]
	if r.URL.Path == listsPath {
		route = s.routes["/lists"]
	}
	if route == nil || strings.Contains(route.pattern, "{") {
		route = nil
		for _, prefix := range []string{subjectsPath, reviewsPath, visitPath, listsPath, problemsPath, "/v4/", "/v5/"} {
			if rest, ok := strings.CutPrefix(r.URL.Path, prefix); ok && rest != "" {
				route = s.routes[prefix]
			}
		}
	}
	if route == nil {
		return nil, problem(notFound, "there is nothing under this path; GET /openapi.json lists what there is")
	}
	if route.method == "" || r.Method == route.method || r.Method == http.MethodHead && route.method == http.MethodGet {
		return route, nil
	}
	p := problem(wrongMethod, "%s takes %s only", route.pattern, route.method)
	p.allow = route.method
	if route.method == http.MethodGet {
		p.allow = "GET, HEAD"
	}
	return nil, p
}

func (c *call) healthy() error {
	c.send(http.StatusOK, jsonType, []byte("{\"status\":\"alive\"}\n"))
	return nil
}

// ready answers those who ask every second or so: the log has what changes alone.
func (c *call) ready() error {
	err := c.s.svc.Ready()
	switch was := c.s.unready.Swap(err != nil); {
	case err != nil && !was:
		c.s.log.Warn("not ready: no evidence can be stored", "err", err)
	case err == nil && was:
		c.s.log.Info("ready again")
	}
	if err != nil {
		return problem(notReady, "the service cannot store evidence at present; its log says why")
	}
	c.send(http.StatusOK, jsonType, []byte("{\"status\":\"ready\"}\n"))
	return nil
}

// index says what this is to somebody who found the port.
func (c *call) index() error {
	b := append(c.out[:0], `{"name":"Headlight","what":"tells safe links from dangerous ones, and learns","version":`...)
	b = appendString(b, c.s.cfg.Version)
	b = append(b, `,"api":"/openapi.json","calls":[`...)
	patterns := make([]string, 0, len(c.s.routes))
	for _, r := range c.s.routes {
		patterns = append(patterns, strings.TrimSpace(r.method+" "+r.pattern))
	}
	slices.Sort(patterns)
	for i, p := range patterns {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, p)
	}
	c.out = append(b, "]}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

// explainProblem answers under the type URI of a problem.
func (c *call) explainProblem() error {
	name := strings.TrimPrefix(c.r.URL.Path, problemsPath)
	i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == name })
	if i < 0 {
		return problem(notFound, "no problem has this name")
	}
	k := kinds[i]
	b := append(c.out[:0], `{"type":`...)
	b = appendString(b, problemsPath+k.name)
	b = append(b, `,"title":`...)
	b = appendString(b, k.title)
	b = append(b, `,"status":`...)
	b = appendNumber(b, float64(k.status))
	b = append(b, `,"about":`...)
	b = appendString(b, k.about)
	c.out = append(b, "}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}
