package api

import (
	"bytes"
	_ "embed" // for openapi.json
	"net/http"
)

// document describes the API as OpenAPI 3.1. It is written by hand; a test compares it with the routes and their replies.
//
//go:embed openapi.json
var document []byte

// rootServer is the line of the document that says where the API is.
const rootServer = `"servers": [{ "url": "/" }]`

// documentUnder returns the document for an API mounted under a prefix of plain path characters.
func documentUnder(prefix string) []byte {
	if prefix == "" {
		return document
	}
	return bytes.Replace(document, []byte(rootServer), []byte(`"servers": [{ "url": "`+prefix+`" }]`), 1)
}

// openAPI is GET /v1/openapi.json.
func (s *Server) openAPI(w http.ResponseWriter, _ *request) {
	w.Header().Set("Content-Type", mediaJSON)
	writeBody(w, http.StatusOK, s.document)
}
