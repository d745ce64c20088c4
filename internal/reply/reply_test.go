package reply_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/internal/reply"
)

func TestPanicked(t *testing.T) {
	// serve lets a handler panic and returns the reply, the log, and the value with which the server would cut the connection.
	serve := func(value any, begin bool) (rec *httptest.ResponseRecorder, log string, cut any) {
		rec = httptest.NewRecorder()
		var lines bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&lines, nil))
		r := httptest.NewRequest("GET", "/there", nil)
		func() {
			defer func() { cut = recover() }()
			w := reply.New(rec)
			if begin {
				_, _ = w.Write([]byte("half"))
			}
			w.Panicked(value, logger, "it panicked", r, func() { w.WriteHeader(http.StatusInternalServerError) })
		}()
		return rec, lines.String(), cut
	}
	if rec, log, cut := serve(nil, false); rec.Code != 200 || log != "" || cut != nil {
		t.Errorf("no panic: %d, %q, %v", rec.Code, log, cut)
	}
	if rec, log, cut := serve("oh", false); rec.Code != 500 || !strings.Contains(log, "path=/there panic=oh") || cut != nil {
		t.Errorf("before the reply: %d, %q, %v", rec.Code, log, cut)
	}
	if rec, log, cut := serve("oh", true); rec.Code != 200 || log == "" || cut != http.ErrAbortHandler {
		t.Errorf("within the reply: %d, %q, %v", rec.Code, log, cut)
	}
	if _, log, cut := serve(http.ErrAbortHandler, false); log != "" || cut != http.ErrAbortHandler {
		t.Errorf("a handler that cuts its reply off: %q, %v", log, cut)
	}
}

func TestSilent(t *testing.T) {
	w := reply.NewSilent()
	http.Error(w, "no", http.StatusTeapot)
	if w.Status != http.StatusTeapot || w.Header().Get("Content-Type") == "" {
		t.Errorf("status %d, header %v", w.Status, w.Header())
	}
}
