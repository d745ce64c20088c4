package web

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop"
)

const patience = 20 * time.Second

// stream opens the live stream of a page, and returns its messages.
func (w *world) stream(ctx context.Context, url, at string) <-chan string {
	w.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", url+w.server.opts.Prefix+"/live?at="+at, nil)
	if err != nil {
		w.Fatal(err)
	}
	reply, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(r)
	if err != nil {
		w.Fatal(err)
	}
	if reply.StatusCode != http.StatusOK || reply.Header.Get("Content-Type") != "text/event-stream" {
		w.Fatalf("%s %v", reply.Status, reply.Header)
	}
	messages := make(chan string, 100)
	go func() {
		defer close(messages)
		defer reply.Body.Close()
		var message strings.Builder
		for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
			if line := lines.Text(); line != "" {
				message.WriteString(line + "\n")
				continue
			}
			messages <- message.String()
			message.Reset()
		}
	}()
	return messages
}

// message returns the first message that holds a text.
func (w *world) message(messages <-chan string, text string) string {
	w.Helper()
	late := time.After(patience)
	for {
		select {
		case m, open := <-messages:
			if !open {
				w.Fatalf("the stream ended without %q", text)
			}
			if strings.Contains(m, text) {
				return m
			}
		case <-late:
			w.Fatalf("no message with %q", text)
		}
	}
}

func TestStreamSendsWhatHasChanged(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.server)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.enqueue("kind", "first", 1)
	messages := w.stream(ctx, server.URL, "/queues")
	first := w.message(messages, "/queues/first")
	w.has(first, "retry: ", "id: ", `data: <hx-partial hx-target="#live" hx-swap="innerMorph">`, `hx-target="#nav"`)
	w.enqueue("kind", "second", 1)
	w.message(messages, "/queues/second")
	cancel()
	for range messages { // the stream ends with the request
	}
}

func TestDrainEndsStreams(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.server)
	defer server.Close()
	messages := w.stream(t.Context(), server.URL, "/")
	w.message(messages, "data: ")
	w.server.Drain()
	w.server.Drain()
	select {
	case <-time.After(patience):
		t.Fatal("the stream goes on")
	case _, open := <-messages:
		for open {
			_, open = <-messages
		}
	}
}

// A carriage return in a text must not end a line of the stream: what follows would be a field of the event.
func TestEventsKeepCarriageReturnsAsText(t *testing.T) {
	got := string(event(7, true, []byte("<p>evil\revent: injected\r\n\r\n  indented</p>\n")))
	want := "retry: 1000\nid: 7\ndata: <p>evil&#13;event: injected&#13;\ndata: &#13;\ndata:   indented</p>\n\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// However many pages are looked at, the store is asked by one at a time, and no more often than is due.
func TestBrowsersShareOneLook(t *testing.T) {
	w := newWorld(t)
	var looks, at atomic.Int64
	look := w.server.live.look
	w.server.live.look = func(ctx context.Context, last *snapshot) (*snapshot, error) {
		looks.Add(1)
		if at.Add(1) > 1 {
			t.Error("two looks at once")
		}
		defer at.Add(-1)
		return look(ctx, last)
	}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() { w.ask("GET", "/", nil) })
	}
	all.Wait()
	if n := looks.Load(); n > 2 {
		t.Errorf("40 pages took %d looks", n)
	}
}

// A store that does not answer is said so: by a note while what is known is not old, else by a page of its own.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t)
	w.enqueue("kind", "mail", 1)
	w.get("/")
	w.server.live.look = func(context.Context, *snapshot) (*snapshot, error) {
		return nil, errors.Join(errors.New("down"), bellhop.ErrUnavailable)
	}
	w.server.live.forget()
	w.has(w.get("/"), "/queues/mail", "The store has not answered for", `class="note note-problem"`)
	w.server.live.mu.Lock()
	w.server.live.newest.made = w.server.live.newest.made.Add(-2 * liveKeep)
	w.server.live.mu.Unlock()
	reply, body := w.ask("GET", "/", nil)
	if reply.StatusCode != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" {
		t.Errorf("%s", reply.Status)
	}
	w.has(body, "The store does not answer", "bellhop doctor")
}

// Whoever waits for a store that is frozen waits for one look, not for those of all who came before; and who leaves does not wait at all.
func TestWaitingForAFrozenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, thaw := 0, make(chan struct{})
		l := &live{changed: make(chan struct{}), looking: make(chan struct{}, 1)}
		l.look = func(context.Context, *snapshot) (*snapshot, error) {
			looks++
			<-thaw
			return nil, bellhop.ErrUnavailable
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if l.current(t.Context()) != nil {
					t.Error("there is a snapshot")
				}
			})
		}
		synctest.Wait() // all of them wait
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		l.current(gone)
		close(thaw)
		all.Wait()
		if looks != 1 {
			t.Errorf("%d looks, want 1", looks)
		}
		if l.current(t.Context()); looks != 2 {
			t.Errorf("the next request does not look anew: %d", looks)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.server.live.streams.Store(maxStreams)
	if reply, _ := w.ask("GET", "/live?at=/", nil); reply.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: %s", reply.Status)
	}
	if n := w.server.live.streams.Load(); n != maxStreams {
		t.Errorf("%d streams are counted", n)
	}
}
