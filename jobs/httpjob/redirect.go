package httpjob

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is how many redirects one attempt follows.
const maxRedirects = 5

// ordinary are the headers of a job that hold no secrets.
var ordinary = []string{"Accept", "Accept-Language", "Content-Type", "Content-Language", "Content-Encoding", "User-Agent"}

// carried are the headers that go along to another host. All others stay
// behind: whatever a job gave beside these may be a secret.
var carried = append([]string{headerKey, headerJobID, headerAttempt, "Traceparent", "Tracestate"}, ordinary...)

// redirect returns the request that a 3xx answer asks for, or an error that
// says why it is not made.
func (t *trip) redirect(h *hop, ans *answer) (*hop, error) {
	no := func(format string, args ...any) error {
		return &RedirectError{Status: ans.status, text: t.tell(h, "answered "+statusText(ans.status)+": "+format, args...)}
	}
	location := ans.header.Get("Location")
	switch ans.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, no("not a redirect that can be followed")
	}
	if location == "" {
		return nil, no("a redirect that does not say where to")
	}
	to, err := h.locate(location)
	if err != nil {
		return nil, no("the redirect is not followed: %v", err)
	}
	t.urls = append(t.urls, to)
	target := redactURL(to)
	if t.redirects++; t.redirects > maxRedirects {
		return nil, no("more than %d redirects; the last leads to %s", maxRedirects, target)
	}
	if h.url.Scheme == "https" && to.Scheme == "http" {
		return nil, no("the redirect to %s is not followed: it leads from https to http", target)
	}
	next := &hop{method: h.method, url: to, header: h.header.Clone(), body: h.body}
	safe := h.method == http.MethodGet || h.method == http.MethodHead
	switch ans.status {
	case http.StatusSeeOther:
		if h.method != http.MethodHead {
			next.method = http.MethodGet
		}
		next.dropBody()
	case http.StatusMovedPermanently, http.StatusFound:
		if !safe {
			return nil, no("the redirect of a %s to %s is not followed: its body could be lost on the way; give the job that URL", h.method, target)
		}
	}
	if !sameHost(h.url, to) {
		next.header = http.Header{}
		for _, name := range carried {
			if v := h.header.Values(name); len(v) > 0 && (len(next.body) > 0 || !strings.HasPrefix(name, "Content-")) {
				next.header[name] = v
			}
		}
	}
	return next, nil
}

// locate reads a Location header as seen from h.
func (h *hop) locate(location string) (*url.URL, error) {
	if len(location) > maxURL {
		return nil, fmt.Errorf("its URL has %d bytes, more than the limit of %d", len(location), maxURL)
	}
	to, err := h.url.Parse(location)
	if err != nil {
		return nil, errors.New("its URL cannot be read")
	}
	to.Fragment, to.RawFragment = "", ""
	return to, checkURL(to)
}

// dropBody removes the body and what describes it, the signature included.
func (h *hop) dropBody() {
	h.body = nil
	for name := range h.header {
		if strings.HasPrefix(name, "Content-") {
			h.header.Del(name)
		}
	}
	for _, name := range []string{headerWebhookID, headerWebhookTime, headerWebhookSign} {
		h.header.Del(name)
	}
}

// sameHost reports whether two URLs lead to one host and port, or from http to
// https on the default ports of one host.
func sameHost(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	from, to := portOf(a), portOf(b)
	return from == to && a.Scheme == b.Scheme || from == "80" && to == "443" && a.Scheme == "http" && b.Scheme == "https"
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}
