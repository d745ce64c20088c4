package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// problem is an error that becomes a page: what is wrong, and what to do.
type problem struct {
	status        int
	title, detail string
	advice        string
	allow         string // for the header Allow
	retry         string // for the header Retry-After
	to            string // for the header Location: go there instead
}

// Error returns title and detail in one line.
func (p *problem) Error() string { return p.title + ": " + p.detail }

func notFound(format string, args ...any) error {
	return &problem{status: http.StatusNotFound, title: "Not found", detail: fmt.Sprintf(format, args...)}
}

func badInput(format string, args ...any) error {
	return &problem{status: http.StatusBadRequest, title: "That cannot be read", detail: fmt.Sprintf(format, args...)}
}

// problemOf turns an error of the library into a problem.
func problemOf(err error) *problem {
	var p *problem
	var refusal *access.Refusal
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &refusal):
		return refusalPage(refusal)
	case errors.Is(err, bellhop.ErrInvalid):
		return &problem{status: http.StatusBadRequest, title: "That cannot be done", detail: strings.TrimPrefix(err.Error(), "bellhop: ")}
	case errors.Is(err, bellhop.ErrNotFound):
		return &problem{status: http.StatusNotFound, title: "Not found", detail: "It may have been deleted, or pruned after its retention."}
	case errors.Is(err, bellhop.ErrUnsupported):
		return &problem{status: http.StatusNotImplemented, title: "The store does not offer this", detail: strings.TrimPrefix(err.Error(), "bellhop: ")}
	case errors.Is(err, bellhop.ErrSchemaOlder), errors.Is(err, bellhop.ErrSchemaNewer):
		return &problem{status: http.StatusServiceUnavailable, title: "The store's schema does not fit", detail: strings.TrimPrefix(err.Error(), "bellhop: ")}
	case errors.Is(err, bellhop.ErrUnavailable), errors.Is(err, bellhop.ErrClosed), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &problem{
			status: http.StatusServiceUnavailable, title: "The store does not answer", retry: "2",
			detail: "It cannot be reached, or cannot work just now. Jobs that run go on; workers try again by themselves.",
			advice: "See to the store, then load this page again. bellhop doctor tells more.",
		}
	}
	return &problem{status: http.StatusInternalServerError, title: "The dashboard failed", detail: "The server's log tells why."}
}

// fail answers with the page of an error, and logs what is not the visitor's fault.
func (v *view) fail(err error) {
	p := problemOf(err)
	var given *problem
	if p.status >= 500 && !errors.As(err, &given) && !errors.As(err, new(*access.Refusal)) && v.Context().Err() == nil {
		v.s.log.Error("a page failed", "method", v.Method, "path", bellhop.CleanText(v.URL.Path, 256), "status", p.status, bellhop.AttrError, err)
	}
	h := v.w.Header()
	for name, value := range map[string]string{"Allow": p.allow, "Retry-After": p.retry, "Location": p.to} {
		if value != "" {
			h.Set(name, value)
		}
	}
	var refusal *access.Refusal
	if errors.As(err, &refusal) {
		refusal.SetHeader(h)
	}
	if p.to != "" {
		v.w.WriteHeader(p.status)
		return
	}
	if v.wantsJSON() {
		h.Set("Content-Type", "application/problem+json")
		v.w.WriteHeader(p.status)
		_ = json.NewEncoder(v.w).Encode(map[string]any{"title": p.title, "status": p.status, "detail": p.detail}) // whoever has gone needs no answer
		return
	}
	f := &frame{
		Title: p.title, Brand: v.s.opts.Title, Prefix: v.s.opts.Prefix, Viewer: v.viewer, Here: "/", Now: time.Now(),
		Data: map[string]any{"Detail": p.detail, "Advice": p.advice, "Status": p.status},
	}
	if v.viewer == nil {
		f.Viewer = &access.Viewer{}
	}
	var body bytes.Buffer
	if err := v.s.execute(&body, "problem", "layout", f); err != nil {
		v.s.log.Error("the page of a problem failed", bellhop.AttrError, err)
		http.Error(v.w, p.title, p.status)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	writePage(v.w, v.Request, p.status, body.Bytes())
}
