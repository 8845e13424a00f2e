package httpapi

import (
	_ "embed"
	"net/http"
)

// openAPI describes the API, as OpenAPI 3.1.
//
//go:embed openapi.json
var openAPI []byte

func (c *call) openAPI() error {
	c.w.Header().Set("Cache-Control", "max-age=3600") // it changes with the version only
	c.send(http.StatusOK, jsonType, openAPI)
	return nil
}
