package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// deadlines is a response writer that remembers until when it may be read from.
type deadlines struct {
	*httptest.ResponseRecorder
	read time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = at
	return nil
}

// What a request asks of the store is bounded, but for what goes on by design.
func TestRequestsEnd(t *testing.T) {
	w := newWorld(t)
	for _, rt := range w.server.routes {
		if rt.raw == nil {
			continue
		}
		bounded := false
		rt.raw = func(v *view) error {
			_, bounded = v.Context().Deadline()
			return nil
		}
		_, path, _ := strings.Cut(rt.pattern, " ")
		w.ask("GET", path, nil)
		if goesOn := path == "/live" || path == "/jobs/export"; bounded == goesOn {
			t.Errorf("%s: bounded: %v", path, bounded)
		}
	}
}

// A form has to arrive in time; a stream or an export, which has no body, may go on for longer than that.
func TestReadDeadline(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path, body string
		bound              bool
	}{
		{"GET", "/jobs/export?format=csv", "", false},
		{"GET", "/", "", false},
		{"POST", "/queues/mail", "action=pause", true},
		{"GET", "/", "a body that nobody asked for", true},
	} {
		r := httptest.NewRequest(c.method, "http://localhost"+c.path, strings.NewReader(c.body))
		if c.method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		d := &deadlines{httptest.NewRecorder(), time.Now().Add(time.Second)}
		w.server.ServeHTTP(d, r)
		if bound := !d.read.IsZero(); bound != c.bound {
			t.Errorf("%s %s with %q: reading is bound: %v, want %v", c.method, c.path, c.body, bound, c.bound)
		}
	}
}
