package demo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
)

var purchase = Order{ID: "ord_1", Email: "guest@example.com", Item: "Luggage tag", Amount: 1900, State: Paid}

func TestEveryEffectIsCountedOutside(t *testing.T) {
	w := startWorld(t, fast)
	d := startDirect(t, w)
	for _, effect := range AllEffects() {
		if err := Apply(t.Context(), d, effect, purchase); err != nil {
			t.Fatalf("%s: %v", effect, err)
		}
	}
	one := Counts{Calls: 1, Effects: 1}
	mail := Counts{Calls: 1, Effects: 1, Messages: 1}
	want := Snapshot{Payment: one, Mail: mail, List: one, Chat: one, Analytics: one}
	if diff := cmp.Diff(want, w.Snapshot()); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	for _, s := range w.Services() {
		if n := len(s.Effects()["ord_1"]); n != 1 {
			t.Errorf("%s counted %d effects for the order", s.Name(), n)
		}
	}
	w.Reset()
	if diff := cmp.Diff(Snapshot{}, w.Snapshot()); diff != "" {
		t.Errorf("after Reset (-want +got):\n%s", diff)
	}
	if err := Apply(t.Context(), d, "dance", purchase); err == nil {
		t.Error("an unknown effect was applied")
	}
}

func TestLatencyIsSpentAndScaled(t *testing.T) {
	w := startWorld(t, 0.02)
	d := startDirect(t, w)
	if got, want := w.Latency(AllEffects()...), 43*time.Millisecond; got != want {
		t.Errorf("all effects take %v, want 2,150 ms × 0.02 = %v", got, want)
	}
	for _, m := range []Mode{Normal, Slow} {
		for _, s := range w.Services() {
			if err := s.Set(m); err != nil {
				t.Fatal(err)
			}
			least := s.Latency()
			if m == Slow {
				least *= 3
			}
			began := time.Now()
			order := purchase
			order.ID = m.String()
			if err := Apply(t.Context(), d, s.Effect(), order); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took < least {
				t.Errorf("%s %v took %v, less than its latency %v", s.Name(), m, took, least)
			}
		}
	}
}

func TestFailingAsksToComeBack(t *testing.T) {
	w := startWorld(t, fast)
	d := startDirect(t, w)
	for _, s := range w.Services() {
		if err := s.Set(Failing); err != nil {
			t.Fatal(err)
		}
		err := Apply(t.Context(), d, s.Effect(), purchase)
		var status *StatusError
		var reply *smtp.SMTPError
		switch {
		case errors.As(err, &status):
			if status.Code != http.StatusServiceUnavailable || status.RetryAfter != time.Second {
				t.Errorf("%s answered %d, come back after %v", s.Name(), status.Code, status.RetryAfter)
			}
		case errors.As(err, &reply):
			if reply.Code != 451 || !reply.Temporary() {
				t.Errorf("%s answered %v", s.Name(), reply)
			}
		default:
			t.Errorf("%s: %v", s.Name(), err)
		}
		if got, want := s.Counts(), (Counts{Calls: 1, Refused: 1}); got != want {
			t.Errorf("%s counts %+v, want %+v", s.Name(), got, want)
		}
		if err := s.Set(Normal); err != nil {
			t.Fatal(err)
		}
		if err := Apply(t.Context(), d, s.Effect(), purchase); err != nil {
			t.Errorf("%s after it is well again: %v", s.Name(), err)
		}
	}
}

func TestDownRefusesConnectionsAndComesBackOnItsPort(t *testing.T) {
	w := startWorld(t, fast)
	d := startDirect(t, w)
	for _, s := range w.Services() {
		addr := s.Addr()
		for range 2 { // setting it down twice is allowed
			if err := s.Set(Down); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s is down, but dialling it says: %v", s.Name(), err)
		}
		if err := Apply(t.Context(), d, s.Effect(), purchase); err == nil {
			t.Errorf("%s is down, but the call succeeded", s.Name())
		}
		if err := s.Set(Normal); err != nil {
			t.Fatal(err)
		}
		if s.Addr() != addr {
			t.Errorf("%s came back on %s, was on %s", s.Name(), s.Addr(), addr)
		}
		if err := Apply(t.Context(), d, s.Effect(), purchase); err != nil {
			t.Errorf("%s after it is back: %v", s.Name(), err)
		}
		if c := s.Counts(); c.Calls != 1 || c.Effects != 1 {
			t.Errorf("%s counts %+v, want one call, one effect", s.Name(), c)
		}
	}
}

func TestGoingDownCutsCallsBeforeTheirEffect(t *testing.T) {
	t.Parallel()
	w := startWorld(t, long)
	d := startDirect(t, w)
	for _, s := range w.Services() {
		failed := make(chan error, 1)
		go func() { failed <- Apply(t.Context(), d, s.Effect(), purchase) }()
		eventually(t, s.Name()+" is called", func() bool { return s.Counts().Calls == 1 })
		if err := s.Set(Down); err != nil {
			t.Fatal(err)
		}
		if err := <-failed; err == nil {
			t.Errorf("%s went down, but its call succeeded", s.Name())
		}
		if got, want := s.Counts(), (Counts{Calls: 1, Cut: 1}); got != want {
			t.Errorf("%s counts %+v, want %+v", s.Name(), got, want)
		}
	}
}

func TestLostAnswerIsReplayedByItsKey(t *testing.T) {
	t.Parallel()
	w := startWorld(t, 6) // the card is charged after 2.4 s, and the answer comes as much later: time to go down on a busy machine
	d := startDirect(t, w)
	failed := make(chan error, 1)
	go func() { failed <- d.Charge(t.Context(), purchase) }()
	eventually(t, "the card is charged", func() bool { return w.Payment.Counts().Effects == 1 })
	if err := w.Payment.Set(Down); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Fatal("the service went down before its answer, but the charge succeeded")
	}
	if err := w.Payment.Set(Normal); err != nil {
		t.Fatal(err)
	}
	if err := d.Charge(t.Context(), purchase); err != nil {
		t.Fatal(err)
	}
	want := Counts{Calls: 2, Effects: 1, Replays: 1, Cut: 1}
	if got := w.Payment.Counts(); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	w := startWorld(t, fast)
	d := startDirect(t, w)

	var together sync.WaitGroup
	for range 8 {
		together.Go(func() {
			if err := d.Charge(t.Context(), purchase); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if got, want := w.Payment.Counts(), (Counts{Calls: 8, Effects: 1, Replays: 7}); got != want {
		t.Errorf("one key, eight calls: %+v, want %+v", got, want)
	}

	other := purchase
	other.Amount++
	var status *StatusError
	if err := d.Charge(t.Context(), other); !errors.As(err, &status) || status.Code != http.StatusUnprocessableEntity {
		t.Errorf("the same key for another amount: %v, want status 422", err)
	}

	d2 := startDirect(t, w)
	d2.Key = func(context.Context, Order) string { return "" }
	for range 2 {
		if err := d2.Charge(t.Context(), purchase); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := w.Payment.Counts(), (Counts{Calls: 11, Effects: 3, Duplicates: 2, Replays: 7, Refused: 1}); got != want {
		t.Errorf("two more without a key: %+v, want %+v", got, want)
	}
}

func TestMalformedCallsAreRefused(t *testing.T) {
	w := startWorld(t, fast)
	for _, c := range []struct {
		method, body string
		want         int
	}{
		{"GET", "", http.StatusMethodNotAllowed},
		{"POST", "{", http.StatusBadRequest},
		{"POST", `{"amount":1}`, http.StatusBadRequest},
		{"POST", `{"order":"` + strings.Repeat("x", maxCall) + `"}`, http.StatusRequestEntityTooLarge},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+w.Chat.Addr()+"/messages", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if res := do(t, req); res.StatusCode != c.want {
			t.Errorf("%s %.20s: status %d, want %d", c.method, c.body, res.StatusCode, c.want)
		}
	}
	if got, want := w.Chat.Counts(), (Counts{Calls: 4, Refused: 4}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestSwitchesRefuseNonsense(t *testing.T) {
	if _, err := StartWorld(WorldConfig{Scale: -1}); err == nil {
		t.Error("a world of scale -1 started")
	}
	w := startWorld(t, fast)
	if err := w.Chat.Set(Mode(9)); err == nil {
		t.Error("mode 9 was accepted")
	}
	for _, m := range []Mode{Normal, Slow, Failing, Down} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("ParseMode(%q) = %v, %v", m, got, err)
		}
	}
	if _, err := ParseMode("fine"); err == nil {
		t.Error("mode fine was accepted")
	}
	if w.Service("dance") != nil {
		t.Error("there is a service for an unknown effect")
	}
	w.Close()
	if err := w.Chat.Set(Normal); err == nil {
		t.Error("a closed service was switched on")
	}
}

func TestPanel(t *testing.T) {
	w := startWorld(t, fast)
	panel := w.Panel()
	for _, c := range []struct {
		method, path, accept string
		want                 int
		contains             string
	}{
		{"GET", "/", "text/html", http.StatusOK, `formaction="payment/down"`},
		{"GET", "/", "", http.StatusOK, `"name":"payment"`},
		{"POST", "/chat/failing", "", http.StatusNoContent, ""},
		{"POST", "/list/slow", "text/html", http.StatusSeeOther, ""},
		{"POST", "/chat/fine", "", http.StatusNotFound, "use normal, slow, failing or down"},
		{"POST", "/moon/down", "", http.StatusNotFound, "no such service"},
	} {
		code, body := ask(t, panel, c.method, c.path, c.accept, "", "")
		if code != c.want || !strings.Contains(body, c.contains) {
			t.Errorf("%s %s: %d %s, want %d with %q", c.method, c.path, code, body, c.want, c.contains)
		}
	}
	if w.Chat.Mode() != Failing || w.List.Mode() != Slow {
		t.Errorf("chat is %v and list is %v, want failing and slow", w.Chat.Mode(), w.List.Mode())
	}
}

func TestCallsEndWithTheirTimeLimit(t *testing.T) {
	w := startWorld(t, 100)
	d := startDirect(t, w)
	d.Timeout = 50 * time.Millisecond
	for _, effect := range AllEffects() {
		if err := Apply(t.Context(), d, effect, purchase); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line about the time limit", effect, err)
		}
	}
}
