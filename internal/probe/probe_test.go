package probe_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobellhop/bellhop/internal/probe"
)

func TestStoreIsAskedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var broken error
		s := &probe.Store{Timeout: time.Second, Keep: time.Second, Ping: func(context.Context) (time.Time, error) {
			asked++
			return time.Time{}, broken
		}}
		for range 5 {
			if err := s.Check(); err != nil {
				t.Error(err)
			}
		}
		if asked != 1 {
			t.Errorf("the store was asked %d times within a moment", asked)
		}
		broken = errors.New("away")
		time.Sleep(2 * time.Second) // of the bubble's clock: until the answer is old
		if s.Check() == nil || asked != 2 {
			t.Errorf("an old answer still holds after %d questions", asked)
		}
	})
}

func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &probe.Store{Timeout: time.Second, Keep: time.Second, Ping: func(ctx context.Context) (time.Time, error) {
			<-ctx.Done()
			return time.Time{}, ctx.Err()
		}}
		if err := s.Check(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a store that hangs: %v", err)
		}
	})
}

func TestHandler(t *testing.T) {
	var dead, busy, away error
	asked := 0
	h := probe.Handler(probe.Options{
		Live: func() error { return dead }, Ready: func() error { return busy }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Store: &probe.Store{Timeout: time.Second, Ping: func(context.Context) (time.Time, error) { asked++; return time.Time{}, away }},
	})
	get := func(path string) int {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		return rec.Code
	}
	if get("/livez") != 200 || asked != 0 {
		t.Errorf("liveness has asked the store %d times", asked)
	}
	if get("/readyz") != 200 || asked != 1 {
		t.Error("readiness does not ask the store")
	}
	away = errors.New("postgres://user:secret@db: no route")
	if get("/readyz") != 503 || get("/livez") != 200 {
		t.Error("a store that is away must make the process not ready, and not dead")
	}
	away, busy = nil, errors.New("draining")
	if get("/readyz") != 503 {
		t.Error("ready while it drains")
	}
	dead = errors.New("a loop hangs")
	if get("/livez") != 503 {
		t.Error("alive with a loop that hangs")
	}
	if get("/metrics") != http.StatusNotFound {
		t.Error("metrics that nobody gave")
	}
}
