package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop/internal/reply"
)

const (
	liveEvery  = 2 * time.Second  // between looks, at the least
	liveShare  = 20               // a look may take this part of the time: the next comes after so many times its duration
	lookWithin = 15 * time.Second // for one look
	liveKeep   = time.Minute      // for which the last look is shown when the store ceases to answer
	maxStreams = 256              // browsers that watch at once
	streamFor  = 15 * time.Minute // after which a browser has to come in again, so that a role that is taken away goes
	writeLive  = 20 * time.Second // for a browser to take an update
)

// live looks at the store for all browsers at once: one ticker for the whole process, which runs only while somebody watches, and
// never looks for more than a twentieth of the time.
type live struct {
	look     func(ctx context.Context, last *snapshot) (*snapshot, error)
	streams  atomic.Int64
	mu       sync.Mutex
	newest   *snapshot
	failed   error // of the newest look
	since    time.Time
	watchers int
	alone    context.CancelFunc // ends the ticker
	changed  chan struct{}      // closed and replaced when there is a new snapshot

	looking chan struct{} // holds one: one look at a time
	looks   int           // looks that have ended
}

func newLive(s *Server) *live {
	return &live{look: s.look, changed: make(chan struct{}), looking: make(chan struct{}, 1)}
}

// every is how long a look may be shown before the next.
func (shot *snapshot) every() time.Duration { return max(liveEvery, liveShare*shot.took) }

// current returns the newest snapshot, after a look if that is due. A store that does not answer is waited for by one request at a
// time, and what that finds holds for all that waited meanwhile; then the last snapshot is returned if it is not too old, with the
// error in it, else nil.
func (l *live) current(ctx context.Context) *snapshot {
	if shot := l.fresh(); shot != nil {
		return shot
	}
	before := l.ended()
	select {
	case l.looking <- struct{}{}:
		defer func() { <-l.looking }()
	case <-ctx.Done():
		return nil
	}
	if shot := l.fresh(); shot != nil { // somebody else has looked meanwhile
		return shot
	}
	if shot, failed := l.failedSince(before); failed {
		return shot
	}
	// One impatient visitor does not end the look for the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookWithin)
	defer cancel()
	l.mu.Lock()
	last := l.newest
	l.mu.Unlock()
	shot, err := l.look(ctx, last)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looks++
	if err != nil {
		if l.failed == nil {
			l.since = time.Now()
		}
		l.failed = err
		if l.newest == nil || time.Since(l.newest.made) > liveKeep {
			l.newest = nil
			return nil
		}
		stale := *l.newest
		stale.err, stale.since = err, l.since
		stale.number++
		l.publish(&stale)
		return &stale
	}
	l.failed = nil
	if l.newest != nil {
		shot.number = l.newest.number + 1
	}
	l.publish(shot)
	return shot
}

// publish wakes whoever watches. The caller holds mu.
func (l *live) publish(shot *snapshot) {
	l.newest = shot
	close(l.changed)
	l.changed = make(chan struct{})
}

// ended returns how many looks have ended.
func (l *live) ended() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.looks
}

// failedSince reports whether another look has ended meanwhile, and the newest has failed: to wait for one more would be in vain, and
// requests would queue up behind a store that is frozen. It returns what there is to be shown.
func (l *live) failedSince(looks int) (shot *snapshot, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newest, l.looks > looks && l.failed != nil
}

func (l *live) fresh() *snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest != nil && l.newest.err == nil && time.Since(l.newest.made) < l.newest.every() {
		return l.newest
	}
	return nil
}

// forget lets the next request look anew: somebody has changed something, and wants to see it.
func (l *live) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.newest != nil {
		old := *l.newest
		old.made = old.made.Add(-old.every())
		old.at = old.at.Add(-old.every())
		l.newest = &old
	}
}

// trouble returns why there is no snapshot.
func (l *live) trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// watch keeps the ticker going until ctx ends. next is closed when there is something new to be had from current.
func (l *live) watch(ctx context.Context) (next func() <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers++; l.watchers == 1 {
		var watched context.Context
		watched, l.alone = context.WithCancel(context.Background())
		go l.tick(watched)
	}
	context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.watchers--; l.watchers == 0 {
			l.alone()
		}
	})
	return func() <-chan struct{} {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.changed
	}
}

// tick looks until nobody watches any more.
func (l *live) tick(ctx context.Context) {
	for ctx.Err() == nil {
		wait := liveEvery
		if shot := l.current(ctx); shot != nil {
			wait = shot.every()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// stream sends a page's block "live" again and again: GET /live?at=ADDRESS, as server-sent events. The page is made by its own
// handler, as its address would make it, of the snapshot that all share.
func (s *Server) stream(v *view) error {
	at, err := url.Parse(v.URL.Query().Get("at"))
	if err != nil || at.IsAbs() || at.Host != "" || !strings.HasPrefix(at.Path, "/") || len(at.RawQuery) > 8<<10 {
		return badInput("the parameter at is no address of the dashboard")
	}
	if s.live.streams.Add(1) > maxStreams {
		s.live.streams.Add(-1)
		return &problem{
			status: http.StatusServiceUnavailable, title: "Too many browsers watch", retry: "30",
			detail: fmt.Sprintf("This process keeps at most %d pages up to date.", maxStreams),
		}
	}
	defer s.live.streams.Add(-1)
	ctx, cancel := context.WithTimeout(v.Context(), streamFor)
	defer cancel()
	r := v.Clone(ctx)
	if r.URL, err = url.Parse(s.opts.Prefix + at.EscapedPath() + "?" + at.RawQuery); err != nil {
		return badInput("the parameter at is no address of the dashboard")
	}
	r.RequestURI = r.URL.RequestURI()
	r.Header.Del("Cookie") // what an action said is for the page itself
	r.Header.Set("Accept", "text/html")
	r.ContentLength, r.Body = 0, http.NoBody

	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	e := &events{to: v.w, control: http.NewResponseController(v.w)}
	if acceptsGzip(v.Request) {
		h.Set("Content-Encoding", "gzip")
		e.zip = gzip.NewWriter(v.w)
	}
	next := s.live.watch(ctx)
	for first := true; ; first = false {
		changed := next() // before the look, so that none is missed
		began := time.Now()
		inner := &view{Request: r, s: s, w: reply.NewSilent(), viewer: v.viewer, watched: &watched{}}
		if err := e.update(inner); err != nil {
			if first {
				h.Del("Content-Encoding")
				return err
			}
			return nil // the stream ends, and the browser comes again
		}
		rest := time.NewTimer(liveShare * time.Since(began)) // what one page asks of the store itself keeps the measure too
		select {
		case <-rest.C:
		case <-ctx.Done():
		case <-s.draining:
		}
		rest.Stop()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-s.draining:
			return nil
		}
	}
}

// watched takes what a page's handler returns, in place of the browser.
type watched struct {
	page *page
	err  error
}

// events writes one stream.
type events struct {
	to      io.Writer
	zip     *gzip.Writer
	control *http.ResponseController
	sent    [sha256.Size]byte // of the last update
	begun   bool
}

// update sends the page as it is now, unless nothing has changed since the last time.
func (e *events) update(v *view) error {
	ctx := v.Context()
	v.s.mux.ServeHTTP(v.w, v.WithContext(context.WithValue(ctx, viewKey{}, v)))
	v.Request = v.WithContext(ctx) // the handler's own has ended with it, and the frame looks as well
	switch {
	case v.watched.err != nil:
		return v.watched.err
	case v.watched.page == nil || !v.watched.page.live:
		return notFound("There is no page that changes at this address.")
	}
	f := v.frame(v.watched.page)
	var body bytes.Buffer
	if err := v.s.execute(&body, v.watched.page.name, "stream", f); err != nil {
		return err
	}
	sum := sha256.Sum256(body.Bytes())
	if e.begun && sum == e.sent {
		return e.write([]byte(": still so\n\n"))
	}
	number := uint64(0)
	if v.shot != nil {
		number = v.shot.number
	}
	message := event(number, !e.begun, body.Bytes())
	e.begun, e.sent = true, sum
	return e.write(message)
}

// event makes the message of a stream of a piece of HTML.
func event(number uint64, first bool, html []byte) []byte {
	var message bytes.Buffer
	if first {
		message.WriteString("retry: 1000\n")
	}
	fmt.Fprintf(&message, "id: %d\n", number)
	// A carriage return would end the line for the browser: what follows it in a job's text must not become a field of the event.
	for line := range bytes.Lines(bytes.ReplaceAll(html, []byte("\r"), []byte("&#13;"))) {
		message.WriteString("data: ")
		message.Write(bytes.TrimSuffix(line, []byte("\n")))
		message.WriteByte('\n')
	}
	message.WriteByte('\n')
	return message.Bytes()
}

func (e *events) write(b []byte) error {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeLive)) // a writer without deadlines has none to set
	var err error
	if e.zip != nil {
		if _, err = e.zip.Write(b); err == nil {
			err = e.zip.Flush()
		}
	} else {
		_, err = e.to.Write(b)
	}
	if err == nil {
		err = e.control.Flush()
	}
	return err
}
