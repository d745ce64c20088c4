package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop/access"
)

const (
	mediaJSON    = "application/json"
	mediaLines   = "application/x-ndjson"
	mediaProblem = "application/problem+json"
	mediaEvents  = "text/event-stream"
)

// requestTimeout is how long the store may take to answer, over all calls of a request.
const requestTimeout = 30 * time.Second

// route is one endpoint.
type route struct {
	method, path string
	need         access.Role // the least that it takes, on some queue; None: it is open to all
	action       string      // what it does, for the audit; empty if it changes nothing
	// media are the types of body that it takes; none: it takes no body.
	media []string
	// optional says that it can do without a body.
	optional bool
	serve    func(w http.ResponseWriter, r *request)
	server   *Server
}

// request is a request with its body read.
type request struct {
	*http.Request
	server *Server
	media  string // of the body; empty if there is none
	body   []byte
}

// ServeHTTP reads the body and calls the endpoint.
func (rt *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := &request{Request: r, server: rt.server}
	var err error
	if len(rt.media) > 0 {
		err = in.readBody(w, rt)
	} else if rt.action != "" && r.ContentLength != 0 {
		err = noBody(w, r)
	}
	if err != nil {
		rt.server.refuse(w, r, err)
		return
	}
	rt.serve(w, in)
}

// noBody refuses a body where none is taken: a reason that is silently passed over would be missed later. Many clients send an empty object
// with every POST.
func noBody(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
	if text := string(bytes.TrimSpace(body)); err == nil && (text == "" || text == "{}" || text == "null") {
		return nil
	}
	return invalid.because("there is a body, and nothing in one means anything here: leave it out")
}

// input is a request struct: read fills it from the request, or says what is wrong with that.
type input[In any] interface {
	*In
	read(r *request) error
}

// handle makes an endpoint of a plain function: request struct in, response struct out.
func handle[In any, P input[In], Out any](do func(context.Context, *In) (Out, error)) func(http.ResponseWriter, *request) {
	return func(w http.ResponseWriter, r *request) {
		in := new(In)
		if err := P(in).read(r); err != nil {
			r.server.refuse(w, r.Request, err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		out, err := do(ctx, in)
		if err != nil {
			r.server.refuse(w, r.Request, err)
			return
		}
		if err := answer(w, out); err != nil {
			r.server.refuse(w, r.Request, err)
		}
	}
}

// nothing is the input of endpoints that want none.
type nothing struct{}

func (*nothing) read(r *request) error { _, err := r.parameters(); return err }

// noContent is the output of endpoints that have nothing to say.
type noContent struct{}

// answer writes a response struct. It may have a status other than 200, headers of its own, and a way of its own to become
// JSON, for bytes that are to stay as they are. After an error nothing has been written.
func answer(w http.ResponseWriter, out any) error {
	if _, none := out.(noContent); none {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	var body []byte
	if exact, ok := out.(interface{ AppendJSON([]byte) []byte }); ok {
		body = exact.AppendJSON(nil)
	} else {
		var err error
		if body, err = json.Marshal(out); err != nil {
			return err
		}
	}
	h := w.Header()
	h.Set("Content-Type", mediaJSON)
	if headed, ok := out.(interface{ setHeader(http.Header) }); ok {
		headed.setHeader(h)
	}
	status := http.StatusOK
	if other, ok := out.(interface{ status() int }); ok {
		status = other.status()
	}
	writeBody(w, status, body)
	return nil
}

// writeBody writes a reply as a whole.
func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	for _, part := range [][]byte{body, {'\n'}} {
		_, _ = w.Write(part) // fails only if the caller is gone
	}
}

func (r *request) readBody(w http.ResponseWriter, rt *route) error {
	contentType := r.Header.Get("Content-Type")
	if contentType == "" && rt.optional && r.ContentLength == 0 {
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	switch {
	case err != nil || !slices.Contains(rt.media, media):
		return wrongMedia.because("the header Content-Type is %.100q: want %s", contentType, strings.Join(rt.media, " or "))
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		return wrongMedia.because("the charset %.40q is not supported: want utf-8", charset)
	case r.Header.Get("Content-Encoding") != "":
		return wrongMedia.because("the header Content-Encoding is %.40q: send the body as it is", r.Header.Get("Content-Encoding"))
	}
	limit := rt.server.opts.MaxBodyBytes
	if r.ContentLength > limit {
		return tooLargeBody(limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return tooLargeBody(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return slowBody.because("the body did not arrive within %v", rt.server.bodyTimeout)
	case err != nil:
		return malformed.because("the body broke off")
	}
	if len(body) == 0 && rt.optional { // many clients send a type with every POST
		return nil
	}
	r.media, r.body = media, body
	return nil
}

// limitTime bounds the time in which a body must arrive, also one that is refused unread, since the server reads on to the
// next request; when the body has been read, the server lifts that deadline. And it bounds the time until the reply has been
// taken, unless the server has such a bound: one that nobody reads must not hold its memory for ever. Event streams, which
// last longer, have deadlines of their own.
func (s *Server) limitTime(w http.ResponseWriter, r *http.Request) {
	control, now := http.NewResponseController(w), time.Now()
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(now.Add(s.bodyTimeout)) // not all writers can, and these have no connection
	}
	if srv, _ := r.Context().Value(http.ServerContextKey).(*http.Server); srv == nil || srv.WriteTimeout == 0 {
		_ = control.SetWriteDeadline(now.Add(s.replyTimeout))
	}
}

func tooLargeBody(limit int64) error {
	return tooLarge.because("the body has more than %d bytes: split the call, or store the data and pass its id", limit)
}
