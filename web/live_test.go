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
	"github.com/gobellhop/bellhop/internal/look"
	"github.com/gobellhop/bellhop/store/memory"
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

// asked is a store in memory that counts the looks at its queues, and can be away.
type asked struct {
	bellhop.Store
	looks atomic.Int64
	away  atomic.Bool
}

func (a *asked) Ping(ctx context.Context) (time.Time, error) {
	if a.away.Load() {
		return time.Time{}, errors.Join(errors.New("down"), bellhop.ErrUnavailable)
	}
	return a.Store.Ping(ctx)
}

func (a *asked) Stats(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
	a.looks.Add(1)
	return a.Store.Stats(ctx, limit)
}

// However many pages are looked at, the store is asked no more often than is due.
func TestBrowsersShareOneLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &asked{Store: memory.New()}
		w := newWorldOn(t, store)
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() { w.ask("GET", "/", nil) })
		}
		all.Wait()
		if n := store.looks.Load(); n != 1 {
			t.Errorf("40 pages took %d looks", n)
		}
	})
}

// A store that does not answer is said so: by a note while what is known is not old, else by a page of its own.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &asked{Store: memory.New()}
		w := newWorldOn(t, store)
		w.enqueue("kind", "mail", 1)
		w.get("/")
		store.away.Store(true)
		time.Sleep(2 * liveEvery) // of the bubble's clock: until the next look
		w.has(w.get("/"), "/queues/mail", "The store has not answered for", `class="note note-problem"`)
		time.Sleep(2 * liveKeep) // likewise, until what is known is old
		reply, body := w.ask("GET", "/", nil)
		if reply.StatusCode != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" {
			t.Errorf("%s", reply.Status)
		}
		w.has(body, "The store does not answer", "bellhop doctor")
		store.away.Store(false)
		if strings.Contains(w.get("/"), "has not answered") {
			t.Error("it answers again, and the page does not say so")
		}
	})
}

// A page does not wait long for a look that is late, if there is an older one to show; and it is not alarmed at once.
func TestStoreThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.enqueue("kind", "mail", 1)
		w.get("/")
		seen := w.server.live.queues.Get(t.Context(), time.Hour)
		slow := look.New(func(context.Context) (*look.Queues, error) { time.Sleep(10 * time.Second); return seen.Value, nil }) // of the bubble's clock: the store is slow
		w.server.live.queues = slow
		slow.Get(t.Context(), 0)
		time.Sleep(look.Part * 10 * time.Second) // likewise: until the next look may be taken
		began := time.Now()
		if body := w.get("/"); strings.Contains(body, "has not answered") {
			t.Error("the page is alarmed at once")
		}
		if waited := time.Since(began); waited != liveWait {
			t.Errorf("the page has waited %v", waited)
		}
		time.Sleep(liveLate) // likewise
		w.has(w.get("/"), "The store has not answered for")
		time.Sleep(10 * time.Second) // likewise: until the look has ended
		if strings.Contains(w.get("/"), "has not answered") {
			t.Error("it has answered, and the page does not say so")
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
