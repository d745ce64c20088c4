package api

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/redact"
)

// eventWriteTimeout is how long one event may take to be written; a follower that reads more slowly is dropped.
const eventWriteTimeout = 30 * time.Second

// events is GET /v1/jobs/{id}/events: server-sent events until the job has ended, or the server stops.
//
// The first event tells where the job is, each further one what has changed: "state", or "progress" if nothing else has;
// "deleted" if the job is gone. The data is the job as a listing shows it, without arguments. States that last less than the
// pause between two looks (half a second) may be passed over; the last one never is. A browser that lost the connection
// comes back by itself, with the id of the last event it saw, and is told only what is new to it.
func (s *Server) events(w http.ResponseWriter, r *request) {
	if err := s.follow(w, r); err != nil {
		s.refuse(w, r.Request, err)
	}
}

// follow returns an error only if nothing has been written.
func (s *Server) follow(w http.ResponseWriter, r *request) error {
	if _, err := r.parameters(); err != nil {
		return err
	}
	id, err := r.id()
	if err != nil {
		return err
	}
	found, err := s.seen(r.Context(), id)
	if err != nil {
		return err
	}
	found.History, found.Args = nil, nil
	j := NewJob(redact.Snapshot(found))
	if j.State.Final() && r.Header.Get("Last-Event-ID") == eventID(j) {
		w.WriteHeader(http.StatusNoContent) // tells a browser not to come back
		return nil
	}
	if s.isDraining() {
		return notReady.because("the server is stopping")
	}
	st := s.watch.follow(id)
	if st == nil {
		return tooManyWatchers.because("%d are open: ask for the job itself now and then", maxStreams)
	}
	defer s.watch.leave(st)
	h := w.Header()
	h.Set("Content-Type", mediaEvents)
	h.Set("X-Accel-Buffering", "no") // asks proxies to pass events on at once
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	f := &feed{w: w, control: http.NewResponseController(w), seen: r.Header.Get("Last-Event-ID")}
	defer f.end()
	s.feed(f, r, st, j)
	return nil
}

// feed writes events until there is no more to tell.
func (s *Server) feed(f *feed, r *request, st *stream, first *Job) {
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	if !f.write("retry: 2000\n\n") || !f.tell(first) {
		return
	}
	for {
		more := true
		select {
		case j := <-st.updates:
			if j == nil {
				f.event("deleted", "", fmt.Appendf(nil, `{"id":%q}`, st.id))
				return
			}
			more = f.tell(j)
		case <-beat.C:
			more = f.write(": still here\n\n")
		case <-s.draining:
			f.write(": the server is stopping\n\n")
			return
		case <-r.Context().Done():
			return
		}
		if !more {
			return
		}
	}
}

// feed is the written side of one stream.
type feed struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seen    string // id of the last event that the follower has
	state   bellhop.State
	claim   int64
	told    bool
}

// tell writes an event if the job has changed, and reports whether more may follow.
func (f *feed) tell(j *Job) bool {
	id := eventID(j)
	if id != f.seen {
		name := "state"
		if f.told && j.State == f.state && j.Claim == f.claim {
			name = "progress"
		}
		if !f.event(name, id, j.AppendJSON(nil)) {
			return false
		}
		f.seen = id
	}
	f.state, f.claim, f.told = j.State, j.Claim, true
	return !j.State.Final()
}

// eventID names what an event tells: the same for the same news, also from another server.
func eventID(j *Job) string {
	sum := fnv.New64a()
	_, _ = sum.Write(j.AppendJSON(nil)) // never fails
	return fmt.Sprintf("%016x", sum.Sum64())
}

// event writes one event. Line breaks in the data are white space of JSON, and become lines of their own.
func (f *feed) event(name, id string, data []byte) bool {
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\n", name)
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	for line := range bytes.FieldsFuncSeq(data, func(c rune) bool { return c == '\n' || c == '\r' }) {
		fmt.Fprintf(&b, "data: %s\n", line)
	}
	b.WriteByte('\n')
	return f.write(b.String())
}

func (f *feed) write(text string) bool {
	_ = f.control.SetWriteDeadline(time.Now().Add(eventWriteTimeout)) // not all writers can
	_, err := f.w.Write([]byte(text))
	return err == nil && f.control.Flush() == nil
}

// end gives the connection back as it was.
func (f *feed) end() { _ = f.control.SetWriteDeadline(time.Time{}) }
