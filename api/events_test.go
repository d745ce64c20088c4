package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/api"
)

// patience bounds every wait of these tests; it is reached only when one fails.
const patience = 20 * time.Second

// event is one server-sent event; a comment has the name ":".
type event struct {
	name, id string
	data     map[string]any
}

// listener reads one stream over a real socket.
type listener struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
	retry    string
}

// serve puts the server behind a socket.
func (w *world) serve(change func(*http.Server)) *httptest.Server {
	w.t.Helper()
	srv := httptest.NewUnstartedServer(w.server)
	if change != nil {
		change(srv.Config)
	}
	srv.Start()
	w.t.Cleanup(srv.Close)
	return srv
}

// listen opens a job's stream; last is the id of the last event seen, if any.
func (w *world) listen(srv *httptest.Server, id, last string) *listener {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/v1/jobs/"+id+"/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := srv.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = response.Body.Close() })
	return &listener{t: w.t, response: response, lines: bufio.NewScanner(response.Body)}
}

// next returns the next event, or nil at the end of the stream.
func (l *listener) next() *event {
	l.t.Helper()
	e, data := &event{}, ""
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch {
		case l.lines.Text() == "" && data != "":
			e.data = parse(l.t, []byte(data)).(map[string]any)
			return e
		case l.lines.Text() == "" && e.name == ":":
			return e
		case l.lines.Text() == "":
		case name == "event":
			e.name = value
		case name == "id":
			e.id = value
		case name == "data":
			data += value + "\n"
		case name == "retry":
			l.retry = value
		case name == "":
			e.name = ":"
		default:
			l.t.Fatalf("the line %q is of no event", l.lines.Text())
		}
	}
	if err := l.lines.Err(); err != nil {
		l.t.Fatalf("the stream broke: %v", err)
	}
	return nil
}

// want reads the next event and compares its name and the job's state.
func (l *listener) want(name, state string) *event {
	l.t.Helper()
	e := l.next()
	if e == nil || e.name != name || e.data["state"] != state {
		l.t.Fatalf("the event is %+v, want %s of %s", e, name, state)
	}
	return e
}

func (l *listener) wantEnd() {
	l.t.Helper()
	if e := l.next(); e != nil {
		l.t.Fatalf("there is another event: %+v", e)
	}
}

func TestEventsTellUntilTheEnd(t *testing.T) {
	w := newWorld(t, api.Options{})
	srv := w.serve(nil)
	id := w.enqueue(`{"kind":"a","args":"secret"}`)
	l := w.listen(srv, id, "")
	if got := l.response.Header; got.Get("Content-Type") != "text/event-stream" || got.Get("Cache-Control") != "no-store" {
		t.Errorf("the headers are %v", got)
	}
	first := l.want("state", "ready")
	if l.retry != "2000" || first.data["args"] != nil || first.data["id"] != id {
		t.Errorf("retry is %q, the event %+v", l.retry, first)
	}
	h := w.hire([]string{"default"}, []string{"a"})
	c := h.claim()
	l.want("state", "running")
	h.report(c, "{\"done\":1,\n\"total\":2}")
	if e := l.want("progress", "running"); fmt.Sprint(e.data["progress"]) != "map[done:1 total:2]" {
		t.Errorf("the progress is %v", e.data["progress"])
	}
	h.finish(c, bellhop.Return{Err: bellhop.RetryAfter(0, errors.New("busy"))})
	again := l.want("state", "scheduled")
	w.do("POST", "/v1/jobs/"+id+"/run", "")
	l.want("state", "ready")
	h.finish(h.claim(), bellhop.Return{Result: []byte("{\"sent\":\r\n9007199254740993}")})
	var last *event
	for e := l.next(); e != nil; e = l.next() {
		last = e
	}
	if last == nil || last.data["state"] != "succeeded" || last.data["final"] != true || fmt.Sprint(last.data["result"]) != "map[sent:9007199254740993]" {
		t.Fatalf("the last event is %+v", last)
	}
	if first.id == "" || first.id == last.id || again.id == last.id {
		t.Errorf("the ids are %q, %q, %q", first.id, again.id, last.id)
	}
	// Who comes back is told the end if it is news, and else to stay away.
	l = w.listen(srv, id, first.id)
	if e := l.want("state", "succeeded"); e.id != last.id {
		t.Errorf("the id was %q and is %q", last.id, e.id)
	}
	l.wantEnd()
	if back := w.listen(srv, id, last.id); back.response.StatusCode != http.StatusNoContent {
		t.Errorf("the status is %d", back.response.StatusCode)
	}
}

func TestEventsResume(t *testing.T) {
	w := newWorld(t, api.Options{})
	srv := w.serve(nil)
	id := w.enqueue(`{"kind":"a"}`)
	first := w.listen(srv, id, "").want("state", "ready")
	l := w.listen(srv, id, first.id)
	h := w.hire([]string{"default"}, []string{"a"})
	h.claim()
	l.want("state", "running")
}

func TestEventsOfADeletedJob(t *testing.T) {
	w := newWorld(t, api.Options{})
	srv := w.serve(nil)
	id := w.enqueue(`{"kind":"a"}`)
	l := w.listen(srv, id, "")
	l.want("state", "ready")
	w.do("DELETE", "/v1/jobs/"+id, "").want(204)
	if e := l.next(); e == nil || e.name != "deleted" || e.data["id"] != id {
		t.Errorf("the event is %+v", e)
	}
	l.wantEnd()
}

func TestEventsKeepTheLineAlive(t *testing.T) {
	w := newWorld(t, api.Options{})
	w.server.SetPace(time.Hour, time.Millisecond)
	srv := w.serve(nil)
	l := w.listen(srv, w.enqueue(`{"kind":"a"}`), "")
	l.want("state", "ready")
	for range 3 {
		if e := l.next(); e == nil || e.name != ":" {
			t.Fatalf("the event is %+v, want a comment", e)
		}
	}
}

// TestEventsOutliveTheServersDeadlines: timeouts that are right for other requests do not end a stream.
func TestEventsOutliveTheServersDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const short = 20 * time.Millisecond
		w := newWorld(t, api.Options{})
		w.server.SetPace(5*time.Millisecond, time.Millisecond)
		srv, _ := w.servePipes(func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = short, short })
		id := w.enqueue(`{"kind":"a"}`)
		l := w.listen(srv, id, "")
		l.want("state", "ready")
		for begun := time.Now(); time.Since(begun) < 5*short; {
			if e := l.next(); e == nil || e.name != ":" {
				t.Fatalf("the event is %+v, want a comment", e)
			}
		}
		w.do("POST", "/v1/jobs/"+id+"/cancel", "").want(200)
		e := l.next()
		for e != nil && e.name == ":" {
			e = l.next()
		}
		if e == nil || e.data["state"] != "cancelled" {
			t.Errorf("the event is %+v", e)
		}
	})
}

func TestEventsEndWhenTheServerStops(t *testing.T) {
	w := newWorld(t, api.Options{})
	srv := w.serve(nil)
	srv.Config.RegisterOnShutdown(w.server.Drain)
	id := w.enqueue(`{"kind":"a"}`)
	l := w.listen(srv, id, "")
	l.want("state", "ready")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := srv.Config.Shutdown(ctx); err != nil {
		t.Fatalf("a stream holds up the stop: %v", err)
	}
	if e := l.next(); e == nil || e.name != ":" {
		t.Errorf("the event is %+v, want a comment", e)
	}
	l.wantEnd()
	w.do("GET", "/v1/jobs/"+id+"/events", "").problem(503, "not-ready")
}

func TestEventsOutliveAnOutage(t *testing.T) {
	w := newWorld(t, api.Options{})
	gone := make(chan struct{}, 1000)
	var out atomic.Bool
	w.store.before = func(op bellhop.Op) error {
		if op == bellhop.OpList && out.Load() {
			gone <- struct{}{}
			return bellhop.ErrUnavailable
		}
		return nil
	}
	srv := w.serve(nil)
	id := w.enqueue(`{"kind":"a"}`)
	l := w.listen(srv, id, "")
	l.want("state", "ready")
	out.Store(true)
	for range 2 {
		select {
		case <-gone:
		case <-time.After(patience):
			t.Fatal("the store is not asked")
		}
	}
	w.do("POST", "/v1/jobs/"+id+"/cancel", "").want(200)
	out.Store(false)
	l.want("state", "cancelled")
	l.wantEnd()
	if n := strings.Count(w.log.String(), "event streams wait"); n != 1 {
		t.Errorf("the log has %d lines about one outage: %s", n, w.log)
	}
}

// TestManyStreamsAreOneQuery: the store is asked once for all streams, and not at all when the last has gone.
func TestManyStreamsAreOneQuery(t *testing.T) {
	w := newWorld(t, api.Options{})
	rounds := make(chan int, 1000)
	w.store.list = func(q *bellhop.Query) {
		if !q.WithoutArgs {
			t.Error("the arguments are asked for")
		}
		rounds <- len(q.Filter.IDs)
	}
	srv := w.serve(nil)
	var streams []*listener
	for range 20 {
		id := w.enqueue(`{"kind":"a"}`)
		for range 2 {
			l := w.listen(srv, id, "")
			l.want("state", "ready")
			streams = append(streams, l)
		}
	}
	deadline := time.After(patience)
	for n := 0; n != 20; {
		select {
		case n = <-rounds:
		case <-deadline:
			t.Fatal("there is no query for all jobs")
		}
	}
	w.do("POST", "/v1/jobs/actions", `{"action":"cancel","all":true}`).want(200)
	for _, l := range streams {
		l.want("state", "cancelled")
		l.wantEnd()
	}
}

func TestHeadOfEventsDoesNotStay(t *testing.T) {
	w := newWorld(t, api.Options{})
	srv := w.serve(nil)
	id := w.enqueue(`{"kind":"a"}`)
	response, err := srv.Client().Head(srv.URL + "/v1/jobs/" + id + "/events")
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%v, %v", response, err)
	}
	_ = response.Body.Close()
}

func TestTooManyStreams(t *testing.T) {
	w := newWorld(t, api.Options{})
	id := w.enqueue(`{"kind":"a"}`)
	leave := w.server.FillStreams()
	w.do("GET", "/v1/jobs/"+id+"/events", "").problem(503, "too-many-streams")
	leave()
	w.do("HEAD", "/v1/jobs/"+id+"/events", "").want(200)
}
