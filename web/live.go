package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/look"
	"github.com/gobellhop/bellhop/internal/reply"
)

const (
	liveEvery  = 2 * time.Second  // between looks, at the least
	liveKeep   = time.Minute      // for which the last look is shown when the store ceases to answer, at the least
	liveWait   = 2 * time.Second  // for a newer look, while there is one to show,
	liveLate   = 5 * time.Second  // and what is too long for one not to be told
	maxStreams = 256              // browsers that watch at once
	streamFor  = 15 * time.Minute // after which a browser has to come in again, so that a role that is taken away goes
	writeLive  = 20 * time.Second // for a browser to take an update
)

// live is what all browsers watch: the snapshot of the newest looks at the store, and one ticker for the whole process, which has
// looks taken only while somebody watches.
type live struct {
	queues  *look.Shared[look.Queues]
	rates   *look.Shared[rates]
	log     *slog.Logger
	streams atomic.Int64

	mu       sync.Mutex
	newest   *snapshot
	watchers int
	alone    context.CancelFunc // ends the ticker
}

func newLive(s *Server) *live {
	return &live{
		queues: look.Of(s.client.Store()), log: s.log,
		rates: look.New(func(ctx context.Context) (*rates, error) { return readRates(ctx, s.reader) }),
	}
}

// current returns the newest snapshot, after looks if those are due. One that is late or fails leaves the last snapshot, which then
// says so. It fails if there is none, or only one that is too old.
func (l *live) current(ctx context.Context) (*snapshot, error) {
	l.mu.Lock()
	last := l.newest
	l.mu.Unlock()
	if last != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, liveWait)
		defer cancel()
	}
	var rates look.Seen[rates]
	var meanwhile sync.WaitGroup
	meanwhile.Go(func() { rates = l.rates.Get(ctx, ratesEvery) })
	queues := l.queues.Get(ctx, liveEvery)
	meanwhile.Wait()
	switch {
	case queues.Value == nil:
		return nil, queues.Err
	case queues.Err == nil:
	case queues.Age() > max(liveKeep, 2*queues.Every()):
		return nil, queues.Err
	case errors.Is(queues.Err, look.ErrLate) && time.Since(queues.Since) < liveLate:
		queues.Err = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last = l.newest; last == nil || last.isBefore(&queues, &rates) {
		l.newest = newSnapshot(&queues, &rates, last)
		if rates.Err != nil && !errors.Is(rates.Err, look.ErrLate) {
			l.log.Warn("the rates of queues cannot be read", bellhop.AttrError, rates.Err)
		}
	}
	return l.newest, nil
}

// forget lets the next request look anew: somebody has changed something, and wants to see it.
func (l *live) forget() { l.queues.Forget() }

// watch keeps the ticker going until ctx ends.
func (l *live) watch(ctx context.Context) {
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
}

// tick looks until nobody watches any more.
func (l *live) tick(ctx context.Context) {
	for ctx.Err() == nil {
		wait := liveEvery
		if shot, err := l.current(ctx); err == nil {
			wait = shot.every
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
	if found, _ := s.mux.Handler(r); !isPage(found) { // before anything of it is run
		return notFound("There is no page that changes at this address.")
	}

	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would keep events back
	e := &events{to: v.w, control: http.NewResponseController(v.w)}
	if acceptsGzip(v.Request) {
		h.Set("Content-Encoding", "gzip")
		e.zip = gzip.NewWriter(v.w)
	}
	s.live.watch(ctx)
	for first := true; ; first = false {
		changed := s.live.queues.Changed() // before the look, so that none is missed
		began := time.Now()
		inner := &view{Request: r, s: s, w: reply.NewSilent(), viewer: v.viewer, watched: &watched{}}
		if err := e.update(inner); err != nil {
			if first {
				h.Del("Content-Encoding")
				return err
			}
			return nil // the stream ends, and the browser comes again
		}
		rest := time.NewTimer(look.Part * time.Since(began)) // what one page asks of the store itself keeps the measure too
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

// isPage reports whether a handler is a route that answers with a page.
func isPage(h http.Handler) bool {
	rt, ok := h.(*route)
	return ok && rt.page != nil
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
