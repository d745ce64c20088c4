// Package reply has the response writers that the HTTP handlers of this project share: one that knows whether a reply has begun, and one that only
// listens to what another handler would say. No job passes through it.
package reply

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gobellhop/bellhop"
)

// Writer remembers whether the reply has begun.
type Writer struct {
	http.ResponseWriter
	begun bool
}

// New returns a writer of a reply that has not begun.
func New(w http.ResponseWriter) *Writer { return &Writer{ResponseWriter: w} }

// WriteHeader begins the reply.
func (w *Writer) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write begins the reply, if nothing has.
func (w *Writer) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets [http.ResponseController] find the writer below.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Panicked deals with what recover returned in a deferred function: nil is nothing. It logs the panic and lets answer make the reply; a reply
// that has begun is cut off instead, so that nobody takes it for whole.
func (w *Writer) Panicked(v any, log *slog.Logger, what string, r *http.Request, answer func()) {
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	log.Error(what, "method", r.Method, "path", bellhop.CleanText(r.URL.Path, 256),
		"panic", bellhop.CleanText(fmt.Sprint(v), 1024), "stack", string(debug.Stack()))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	answer()
}

// Silent is a response writer that remembers status and header only.
type Silent struct {
	// Status is what the handler wrote; 0 if it wrote none.
	Status int

	header http.Header
}

// NewSilent returns a writer to which nothing was written.
func NewSilent() *Silent { return &Silent{header: http.Header{}} }

// Header returns the header.
func (s *Silent) Header() http.Header { return s.header }

// Write takes bytes and forgets them.
func (s *Silent) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader remembers the status.
func (s *Silent) WriteHeader(status int) { s.Status = status }
