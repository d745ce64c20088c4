package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/reply"
)

// newDoor makes the door of the settings, and tells which of them are not usable.
func newDoor(opts Options) (*access.Door, []error) {
	door := opts.Door
	switch {
	case door != nil && (opts.Token != "" || opts.Authorize != nil || len(opts.Hosts) > 0 || opts.ReadOnly):
		return door, []error{badOption("Door", "it has settings of its own: give them there, and leave Token, Authorize, Hosts and ReadOnly empty")}
	case door == nil:
		door = &access.Door{Authorize: opts.Authorize, Hosts: opts.Hosts, ReadOnly: opts.ReadOnly}
		if byToken := access.Bearer(opts.Token, access.Admin); opts.Token != "" && opts.Authorize == nil {
			door.Authorize = byToken
		} else if opts.Token != "" {
			door.Authorize = access.First(byToken, opts.Authorize)
		}
	}
	var errs []error
	if strings.ContainsFunc(opts.Token, func(c rune) bool { return c <= ' ' || c > '~' }) {
		errs = append(errs, badOption("Token", "it holds a character that no header can carry: want visible ASCII characters without spaces"))
	}
	if door.Authorize == nil {
		errs = append(errs, badOption("Authorize", "nobody could come in: set a Token, or Authorize, which may be access.Everyone where only this machine can reach the server"))
	}
	if joined, _ := door.Check().(interface{ Unwrap() []error }); joined != nil {
		for _, err := range joined.Unwrap() {
			var bad *access.SettingError
			if errors.As(err, &bad) {
				errs = append(errs, badOption(bad.Setting, "%s", bad.Reason))
			}
		}
	}
	return door, errs
}

// admit leads a request through the door, and returns it with its viewer; or the reason why it may not use the route, nil if
// there is no such route.
func (s *Server) admit(rt *route, r *http.Request) (*http.Request, error) {
	if rt != nil && rt.need == access.None {
		return r, nil
	}
	v, refusal := s.door.Admit(r)
	if refusal != nil {
		if refusal.Err != nil {
			s.log.Error("it could not be found out whose a request is", "path", bellhop.CleanText(r.URL.Path, 256), bellhop.AttrError, refusal.Err)
		}
		return r, refusal
	}
	r = r.WithContext(access.Into(r.Context(), v))
	if rt == nil {
		return r, nil
	}
	return r, v.AllowAny(rt.need)
}

// ServeHTTP guards, routes and answers; every error it answers with is a [Problem].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := reply.New(w)
	defer s.recoverPanic(out, r)
	h := out.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")

	s.limitTime(out, r)

	found, _ := s.mux.Handler(r)
	rt, _ := found.(*route)
	if rt != nil && rt.action != "" {
		r = r.WithContext(context.WithValue(r.Context(), actionKey{}, rt.action))
	}
	r, err := s.admit(rt, r)
	if err == nil && rt == nil {
		err = noRoute(found, r)
	}
	if err != nil {
		s.refuse(out, r, err)
		return
	}
	s.mux.ServeHTTP(out, r)
}

// noRoute makes a problem of what the mux answers where it knows no route.
func noRoute(found http.Handler, r *http.Request) error {
	says := reply.NewSilent()
	found.ServeHTTP(says, r)
	if says.Status == http.StatusMethodNotAllowed {
		p := wrongMethod.because("%.20q is not among the methods of this path: %s", r.Method, says.Header().Get("Allow"))
		p.allow = says.Header().Get("Allow")
		return p
	}
	return unknownRoute.because("there is nothing at this path; /v1/openapi.json lists what there is")
}

func (s *Server) recoverPanic(w *reply.Writer, r *http.Request) {
	w.Panicked(recover(), s.log, "a request panicked", r, func() { writeProblem(w, internal.because("the server's log tells why")) })
}
