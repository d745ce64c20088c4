package demo

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for _, c := range []struct {
		of   []time.Duration
		p    float64
		want time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{3, 1, 2}, 0.5, 2},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 0, 1},
		{hundred, 1, 100},
	} {
		if got := Percentile(c.of, c.p); got != c.want {
			t.Errorf("percentile %v of %d durations is %v, want %v", c.p, len(c.of), got, c.want)
		}
	}
}

// TestEveryFormIsCountedRight drives all forms and compares what was accepted with what the outside world counted.
func TestEveryFormIsCountedRight(t *testing.T) {
	w := startWorld(t, fast)
	var expect Expect
	for _, form := range Forms() {
		shop, _ := serveShop(t, w, form)
		var last Progress
		result, err := Drive(t.Context(), Load{URL: shop, Orders: 24, Progress: func(p Progress) { last = p }})
		if err != nil {
			t.Fatal(err)
		}
		if result.Accepted != 24 || result.Failed != 0 || len(result.IDs()) != 24 {
			t.Errorf("%s: %d accepted, failures %v", form.Name, result.Accepted, result.Failures())
		}
		// A timer never ends early, so the inline effects are a lower bound.
		least := w.Latency(form.Inline(AllEffects()...)...)
		if result.P50 < least || result.P99 < result.P50 || result.Elapsed < 3*least || result.PerSecond <= 0 {
			t.Errorf("%s: p50 %v, p99 %v, elapsed %v, %v a second; one order takes %v at least",
				form.Name, result.P50, result.P99, result.Elapsed, result.PerSecond, least)
		}
		if last.Accepted != 24 || last.Share != 1 {
			t.Errorf("%s: the last progress is %+v", form.Name, last)
		}
		expect.Orders = append(expect.Orders, result.IDs()...)

		members, err := Drive(t.Context(), Load{URL: shop, Action: ActionSignup, Workers: 2, Orders: 4})
		if err != nil || members.Accepted != 4 {
			t.Errorf("%s: %d signups, %v, %v", form.Name, members.Accepted, members.Failures(), err)
		}
		expect.Signups = append(expect.Signups, members.IDs()...)
	}
	limit, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	checks, err := w.Settle(limit, expect)
	if err != nil {
		t.Fatal(err)
	}
	want := []Check{{Effect: EffectCharge, Expected: 96, Counted: 96}}
	for _, effect := range AllEffects()[1:] {
		want = append(want, Check{Effect: effect, Expected: 112, Counted: 112})
	}
	if diff := cmp.Diff(want, checks); diff != "" || !AllOK(checks) {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

func TestDriveEndsByTime(t *testing.T) {
	shop, _ := serveShop(t, startWorld(t, fast), Forms()[0])
	const lasts = 400 * time.Millisecond // so that both workers have begun by then on a busy machine
	result, err := Drive(t.Context(), Load{URL: shop, Workers: 2, Duration: lasts, Think: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if result.Accepted < 2 || result.Elapsed < 21*time.Millisecond {
		t.Errorf("%d accepted in %v", result.Accepted, result.Elapsed)
	}
	for _, s := range result.Samples {
		if s.Started >= lasts+time.Second {
			t.Errorf("a request started at %v, long after the end", s.Started)
		}
	}
}

func TestDriveCountsFailures(t *testing.T) {
	w := startWorld(t, fast)
	shop, _ := serveShop(t, w, Forms()[0])
	if err := w.List.Set(Failing); err != nil {
		t.Fatal(err)
	}
	result, err := Drive(t.Context(), Load{URL: shop, Orders: 5})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"status 502: subscribe failed": 5}, result.Failures()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if result.Accepted != 0 || result.P50 != 0 || len(result.IDs()) != 0 || len(result.FailedIDs()) != 5 {
		t.Errorf("result %+v", result)
	}
	checks := w.Check(Expect{Uncertain: result.FailedIDs()})
	want := Check{Effect: EffectCharge, Uncertain: 5}
	if diff := cmp.Diff(want, checks[0]); diff != "" || !AllOK(checks) {
		t.Errorf("checks of failed orders (-want +got):\n%s", diff)
	}

	if err := w.Payment.Set(Down); err != nil { // nobody listens there any more
		t.Fatal(err)
	}
	result, err = Drive(t.Context(), Load{URL: "http://" + w.Payment.Addr(), Orders: 2})
	if err != nil || result.Failed != 2 || result.Samples[0].Status != 0 || strings.Contains(result.Samples[0].Err, "\n") {
		t.Errorf("a shop that is not there: %+v, %v", result, err)
	}
}

func TestDriveStopsWithItsContext(t *testing.T) {
	w := startWorld(t, 10)
	shop, _ := serveShop(t, w, Forms()[0])
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for w.Payment.Counts().Calls < WebWorkers && wait(ctx, time.Millisecond) {
		}
		cancel()
	}()
	result, err := Drive(ctx, Load{URL: shop, Duration: time.Hour})
	if !errors.Is(err, context.Canceled) || len(result.Samples) != 0 {
		t.Errorf("%d samples, %v", len(result.Samples), err)
	}
}

func TestDriveRefusesNonsense(t *testing.T) {
	for _, load := range []Load{
		{},
		{Orders: 1, Action: "dance"},
		{Orders: -1},
		{Orders: 1, Workers: -1},
		{Orders: 1, Think: -1},
	} {
		if _, err := Drive(t.Context(), load); err == nil {
			t.Errorf("%+v was driven", load)
		}
	}
}

// TestOutage takes the payment service down under two shops: with the charge inline customers see errors, with jobs none does,
// and in neither a card is charged twice.
func TestOutage(t *testing.T) {
	// So long that somebody comes while the service is down, on a busy machine too.
	const after, down = 150 * time.Millisecond, 600 * time.Millisecond
	w := startWorld(t, fast)
	for _, form := range Forms()[2:] {
		shop, _ := serveShop(t, w, form)
		out, err := RunOutage(t.Context(), w.Payment, Outage{
			Load:  Load{URL: shop, Duration: time.Second, Think: 10 * time.Millisecond},
			After: after,
			For:   down,
		})
		if err != nil {
			t.Fatal(err)
		}
		if out.Down < after || out.Up < out.Down+down || w.Payment.Mode() != Normal {
			t.Errorf("%s: down at %v, up at %v, now %v", form.Name, out.Down, out.Up, w.Payment.Mode())
		}
		early := slices.ContainsFunc(out.Load.Samples, func(s Sample) bool { return s.Accepted() && s.Started+s.Latency < out.Up })
		if out.Done != out.Load.Accepted || out.Load.Accepted == 0 || out.Twice != 0 || len(out.DoneAt) != out.Done || (out.CaughtUp > 0) != early {
			t.Errorf("%s: %d accepted, %d done, %d twice, caught up at %v", form.Name, out.Load.Accepted, out.Done, out.Twice, out.CaughtUp)
		}
		if jobs := form.Hands(EffectCharge); out.OK() != jobs {
			t.Errorf("%s: OK is %v; failures %v", form.Name, out.OK(), out.Load.Failures())
		}
	}
}

func TestOutageEndsWithItsContext(t *testing.T) {
	w := startWorld(t, fast)
	shop, _ := serveShop(t, w, Forms()[3])
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for w.Payment.Mode() != Down && wait(t.Context(), time.Millisecond) {
		}
		cancel()
	}()
	_, err := RunOutage(ctx, w.Payment, Outage{Load: Load{URL: shop, Duration: time.Hour}, For: time.Hour})
	if !errors.Is(err, context.Canceled) || w.Payment.Mode() != Normal {
		t.Errorf("%v, and the service is %v", err, w.Payment.Mode())
	}
}

func TestChecksSeeWhatIsWrong(t *testing.T) {
	w := startWorld(t, fast)
	w.Chat.book.effect("a")
	w.Chat.book.effect("a")
	w.Chat.book.effect("stranger")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	checks, err := w.Settle(ctx, Expect{Orders: []string{"a", "b"}})
	if err == nil || !strings.Contains(err.Error(), "misses charge for 2 orders") {
		t.Errorf("settled: %v", err)
	}
	want := Check{Effect: EffectChat, Expected: 2, Counted: 1, Twice: 1, Unknown: 1}
	if checks[3] != want || checks[3].OK() || AllOK(checks) {
		t.Errorf("check %+v, want %+v", checks[3], want)
	}
}

func TestFollowSeesChargingThenPaid(t *testing.T) {
	w := startWorld(t, fast)
	shop, _ := serveShop(t, w, Forms()[3])
	pages, err := Follow(t.Context(), shop)
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 2 {
		t.Fatalf("only %d pages", len(pages))
	}
	first, last := pages[0], pages[len(pages)-1]
	if first.Status != 202 || first.State != Charging || first.Refresh != time.Second {
		t.Errorf("the first page is %+v", first)
	}
	if _, err := w.Settle(t.Context(), Expect{Orders: []string{first.ID}}); err != nil || last.ID != first.ID {
		t.Errorf("followed %q, then %q; %v", first.ID, last.ID, err)
	}
	if last.Status != 200 || last.State != Paid || last.Refresh != 0 || last.After < time.Second {
		t.Errorf("the last page is %+v", last)
	}
	if _, err := Follow(t.Context(), "http://"+w.Chat.Addr()); err == nil {
		t.Error("a chat was taken for a shop")
	}
}
