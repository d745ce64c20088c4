package demo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gobellhop/bellhop"
)

// quick is the scale of tests that run the whole play: the inline checkout takes 43 ms.
const quick = 0.02

// tempFolder makes the system's folder for temporary files an empty one, and returns what is left in it.
func tempFolder(t *testing.T) (left func() []string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
}

// cue calls do once, when a text has been written.
type cue struct {
	text string
	do   func()

	mu   sync.Mutex
	seen bytes.Buffer
	once sync.Once
}

func (c *cue) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen.Write(b)
	if c.text != "" && strings.Contains(c.seen.String(), c.text) {
		c.once.Do(c.do)
	}
	return len(b), nil
}

func (c *cue) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.String()
}

func TestRunOnce(t *testing.T) {
	left := tempFolder(t)
	out := &cue{}
	if err := Run(t.Context(), Options{Once: true, Scale: quick, Out: out}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"✓ the charge too", "✓ all four as jobs", "200  paid", "down", "mail.send     succeeded",
		"✓ cards charged", "✓ Bellhop: ", "✓ Every order was charged once.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, out)
		}
	}
	for line := range strings.Lines(out.String()) {
		// What is logged is no part of the report: that the store did not answer, on a machine whose disk stands still for a while.
		if logged := strings.HasPrefix(line, "  time="); !logged && width(strings.TrimSuffix(line, "\n")) > Width {
			t.Errorf("too wide: %q", line)
		}
	}
	if names := left(); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// TestInterrupted ends the demo at several moments. TestMain sees to it that no goroutine is left.
func TestInterrupted(t *testing.T) {
	for _, text := range []string{"", "1  The checkout", "✓ the mailing list too", "4  The payment"} {
		left := tempFolder(t)
		ctx, cancel := context.WithCancel(t.Context())
		out := &cue{text: text, do: cancel}
		if text == "" {
			cancel()
		}
		err := Run(ctx, Options{Once: true, Scale: quick, Out: out})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted at %q: %v", text, err)
		}
		if names := left(); len(names) > 0 {
			t.Errorf("interrupted at %q: left behind: %v", text, names)
		}
		cancel()
	}
}

func TestRunRefuses(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{Scale: -1}, "the scale is -1"},
		{Options{Listen: "0.0.0.0:8080"}, "only this machine may reach it"},
		{Options{Listen: "8080"}, "want an address such as"},
		{Options{Store: "postgres://localhost/x"}, "sqlite:"},
		{Options{Store: "sqlite:" + filepath.Join(folder, "none", "x.db")}, "none"},
	} {
		c.opts.Out, c.opts.Once = io.Discard, true
		left := tempFolder(t)
		err := Run(t.Context(), c.opts)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v, want %q", c.opts, err, c.want)
		}
		if names := left(); len(names) > 0 {
			t.Errorf("%+v: left behind: %v", c.opts, names)
		}
	}
}

// open opens a stage on a store.
func open(t *testing.T, store string) *stage {
	t.Helper()
	s, err := openStage(t.Context(), Options{Store: store, Listen: "127.0.0.1:0", Scale: quick}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestALostOrderIsAnError(t *testing.T) {
	p := &play{stage: open(t, ""), Printer: NewPrinter(io.Discard), scale: quick}
	p.expect.Orders = []string{"ord_lost"}
	if err := p.count(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.wrong(); err == nil || !strings.Contains(err.Error(), "cards charged: 1 expected, 0 counted") {
		t.Errorf("a lost order was passed over: %v", err)
	}
}

func TestALostJobIsAnError(t *testing.T) {
	p := &play{stage: open(t, ""), Printer: NewPrinter(io.Discard), scale: quick, jobs: 1}
	if err := p.count(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.wrong(); err == nil || !strings.Contains(err.Error(), "of 1 jobs, 0 were enqueued") {
		t.Errorf("a lost job was passed over: %v", err)
	}
}

// TestStaysUp runs the demo on a file that an earlier one has left with work undone, until it is told to end.
func TestStaysUp(t *testing.T) {
	left := tempFolder(t)
	file := filepath.Join(t.TempDir(), "shop.db")
	s := open(t, "sqlite:"+file)
	if err := s.world.Payment.Set(Down); err != nil {
		t.Fatal(err)
	}
	order := Order{ID: "ord_earlier", Email: "guest@example.com", Item: goods[0].Name, Amount: 1900, State: Charging}
	if err := s.orders.Save(t.Context(), order, []string{EffectCharge}); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &cue{text: "Ctrl-C", do: cancel}
	if err := Run(ctx, Options{Store: "sqlite:" + file, Scale: quick, Out: out}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/world/", "/charge/orders/ord_", "/v1/jobs", "bellhop jobs list --store sqlite:" + file} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the places have no %q:\n%s", want, out)
		}
	}
	if names := left(); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
	s = open(t, "sqlite:"+file)
	if now, err := s.orders.Order(t.Context(), order.ID); err != nil || now.State != Paid {
		t.Errorf("the earlier order is %+v, %v", now, err)
	}
}

// TestOrdersAndJobsAreOne tries the order table: an order and its jobs are saved together, once, or not at all.
func TestOrdersAndJobsAreOne(t *testing.T) {
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "shop.db"))
	if err := s.world.List.Set(Down); err != nil { // so that the jobs stay
		t.Fatal(err)
	}
	jobs := func() int {
		n, err := s.client.Count(t.Context(), bellhop.Filter{Kinds: kinds()}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	order := Order{ID: "mem_1", Email: "guest@example.com", State: Joined}
	if err := s.orders.Save(t.Context(), order, []string{EffectSubscribe, "fly"}); err == nil {
		t.Error("an unknown effect was handed off")
	}
	if _, err := s.orders.Order(t.Context(), order.ID); !errors.Is(err, ErrNoOrder) || jobs() != 0 {
		t.Errorf("after a refusal: %v, %d jobs", err, jobs())
	}
	for range 2 {
		if err := s.orders.Save(t.Context(), order, []string{EffectSubscribe}); err != nil {
			t.Fatal(err)
		}
	}
	if n := jobs(); n != 1 {
		t.Errorf("saved twice: %d jobs", n)
	}
	orders, err := s.orders.Orders(t.Context(), 10)
	if err != nil || len(orders) != 1 || orders[0].ID != order.ID || !orders[0].Paid.IsZero() {
		t.Errorf("the orders are %+v, %v", orders, err)
	}
}
