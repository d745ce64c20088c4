package api_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
)

// target fills in the path of a route.
func target(path string) string {
	return strings.NewReplacer("{id}", bellhop.NewID().String(), "{action}", "cancel", "{queue}", "mail").Replace(path)
}

// TestEveryRouteIsGuarded goes through all routes, so that a new one is not forgotten.
func TestEveryRouteIsGuarded(t *testing.T) {
	plain := newWorld(t, api.Options{Hosts: []string{"jobs.example"}})
	locked := newWorld(t, api.Options{Door: &access.Door{ // without the limit on wrong tokens, of which there are many here
		Authorize: access.Bearer("open-sesame,-please", access.Admin), Hosts: []string{"*"}, Logins: -1,
	}})
	still := newWorld(t, api.Options{ReadOnly: true})
	for _, rt := range plain.server.Routes() {
		path := target(rt.Path)
		if rt.Need == access.None {
			for _, w := range []*world{plain, locked, still} {
				w.do(rt.Method, path, "", headers{"Host": "evil.example"}).want(200)
			}
			continue
		}
		for _, host := range []string{"evil.example", "localhost.evil.example:8080", "", "127.0.0.1.evil.example", "10.0.0.1", "jobs.example.evil"} {
			r := plain.do(rt.Method, path, "", headers{"Host": "x"})
			if host != "" {
				r = plain.do(rt.Method, path, "", headers{"Host": host})
			}
			r.problem(421, "host")
		}
		locked.do(rt.Method, path, "").problem(401, "unauthorized")
		for _, given := range []string{"open-sesame,-please", "Bearer", "Bearer x", "Basic open-sesame,-please", "Bearer open-sesame,-pleas", "Bearer open-sesame,-please!"} {
			r := locked.do(rt.Method, path, "", headers{"Authorization": given})
			if r.problem(401, "unauthorized"); r.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: no WWW-Authenticate", rt.Method, path)
			}
		}
		if r := locked.do(rt.Method, path, "", headers{"Authorization": "bearer open-sesame,-please"}); r.Code == 401 || r.Code == 421 {
			t.Errorf("%s %s: the token is not accepted: %d", rt.Method, path, r.Code)
		}
		if rt.Action == "" {
			if r := still.do(rt.Method, path, ""); (r.Code == 403) != (rt.Need > access.Read) { // of what is for admins only nobody is one

				t.Errorf("%s %s: reading is refused", rt.Method, path)
			}
			continue
		}
		still.do(rt.Method, path, "").problem(403, "read-only")
		plain.do(rt.Method, path, "", headers{"Sec-Fetch-Site": "cross-site"}).problem(403, "cross-origin")
		plain.do(rt.Method, path, "", headers{"Origin": "https://evil.example"}).problem(403, "cross-origin")
	}
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.8.8.8", "[::1]:8080", "[::1]", "jobs.example:443", "Jobs.Example."} {
		plain.do("GET", "/v1/queues", "", headers{"Host": host}).want(200)
	}
	plain.do("POST", "/v1/jobs", `{"kind":"a"}`, headers{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8080"}).want(201)
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := newWorld(t, api.Options{Prefix: "/p"})
	for _, path := range []string{"", "/", "/v1", "/v1/", "/v1/job", "/v1/jobs/", "/v1//jobs", "/v1/./jobs", "/v1/../v1/jobs", "/livez/", "/v1/queues/mail/explode", "/index.html"} {
		w.do("GET", path, "").problem(404, "unknown-route")
	}
	for path, allow := range map[string]string{
		"/v1/jobs": "GET, HEAD, POST", "/v1/jobs/count": "DELETE, GET, HEAD", "/livez": "GET, HEAD", "/v1/queues/mail/pause": "POST",
	} {
		for _, method := range []string{"PUT", "PATCH", "OPTIONS", "BREW"} {
			r := w.do(method, path, "")
			r.problem(405, "method")
			if got := r.Header().Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow is %q, want %q", method, path, got, allow)
			}
		}
	}
	locked := newWorld(t, api.Options{Token: "sesame"})
	locked.do("GET", "/nothing", "").problem(401, "unauthorized")
}

func TestBadOptionsAreRefused(t *testing.T) {
	client, def := newWorld(t, api.Options{}).client, bellhop.Define[int]("a")
	for _, c := range []struct {
		opts api.Options
		want string
	}{
		{api.Options{}, "nobody could come in"},
		{api.Options{Hosts: []string{"*"}}, "nobody could come in"},
		{api.Options{Door: &access.Door{}}, "nobody could come in"},
		{api.Options{Token: "a", Door: &access.Door{}}, "settings of its own"},
		{api.Options{Hosts: []string{"jobs.example:443"}}, "without a port"},
		{api.Options{Hosts: []string{"https://jobs.example"}}, "without a port"},
		{api.Options{Hosts: []string{""}}, "without a port"},
		{api.Options{Token: "a b"}, "visible ASCII"},
		{api.Options{Token: "a\n"}, "visible ASCII"},
		{api.Options{Prefix: "p"}, "Prefix"},
		{api.Options{Prefix: "/p/"}, "Prefix"},
		{api.Options{Prefix: "/{id}"}, "Prefix"},
		{api.Options{Prefix: "/.."}, "Prefix"},
		{api.Options{MaxBodyBytes: -1}, "MaxBodyBytes"},
		{api.Options{Definitions: []bellhop.Kinded{def, def}}, "Definitions"},
		{api.Options{Definitions: []bellhop.Kinded{nil}}, "Definitions"},
	} {
		_, err := api.New(client, c.opts)
		var bad *api.OptionError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "api: Options."+bad.Option+": "+bad.Reason) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: the error is %v, want one about %s", c.opts, err, c.want)
		}
	}
	if _, err := api.New(nil, api.Options{}); err == nil {
		t.Error("a nil client is accepted")
	}
	if _, err := api.New(client, api.Options{Token: "a", Hosts: []string{"*", "::1", "jobs.example", "10.0.0.1"}}); err != nil {
		t.Error(err)
	}
}

// TestBrokenMiddleware: what the program's own middleware does wrong is not told to callers as theirs.
func TestBrokenMiddleware(t *testing.T) {
	w := newWorld(t, api.Options{}, bellhop.OnEnqueue(
		func(context.Context, []*bellhop.Job, bellhop.EnqueueFunc) ([]bellhop.Receipt, error) { return nil, nil }))
	w.do("POST", "/v1/jobs", `{"kind":"a"}`).problem(http.StatusInternalServerError, "internal")
	w = newWorld(t, api.Options{}, bellhop.OnEnqueue(
		func(context.Context, []*bellhop.Job, bellhop.EnqueueFunc) ([]bellhop.Receipt, error) {
			return nil, errors.New("no budget")
		}))
	w.do("POST", "/v1/jobs", `{"kind":"a"}`).problem(http.StatusInternalServerError, "internal")
	if !strings.Contains(w.log.String(), "no budget") {
		t.Errorf("the log is %s", w.log)
	}
}
