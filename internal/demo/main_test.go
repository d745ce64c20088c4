package demo

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fast is the scale of tests in which time does not matter: a charge takes 8 ms.
const fast = 0.01

// long is the scale of tests that cut calls off: none takes less than 15 s, so that they come in time on any machine.
const long = 100

func startWorld(t *testing.T, scale float64) *World {
	t.Helper()
	w, err := StartWorld(WorldConfig{Scale: scale})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func startDirect(t *testing.T, w *World) *Direct {
	t.Helper()
	d := NewDirect(w)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// eventually waits until a condition holds, at most 20 s.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		if !wait(ctx, time.Millisecond) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// crew works off what a shop hands off, in memory: it tries every effect until it is done.
type crew struct {
	shop    *Shop
	ctx     context.Context
	workers sync.WaitGroup
}

// Hand starts an effect.
func (c *crew) Hand(_ context.Context, effect string, order Order) error {
	c.workers.Go(func() {
		for c.shop.Run(c.ctx, effect, order.ID) != nil {
			if !wait(c.ctx, 2*time.Millisecond) {
				return
			}
		}
	})
	return nil
}

// serveShop starts a shop of the given form over HTTP, whose handed-off effects are worked off in memory.
func serveShop(t *testing.T, w *World, form Form) (address string, store *MemoryStore) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crew{ctx: ctx}
	store = NewMemoryStore(c)
	shop, err := NewShop(ShopConfig{Form: form, Store: store, Effects: startDirect(t, w)})
	if err != nil {
		t.Fatal(err)
	}
	c.shop = shop
	srv := httptest.NewServer(shop)
	t.Cleanup(func() {
		srv.Close()
		cancel()
		c.workers.Wait()
	})
	return srv.URL, store
}

// do sends a request and returns its response whose body is closed at the end of the test.
func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}
