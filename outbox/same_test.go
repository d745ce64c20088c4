package outbox_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/outbox"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/storetest"
)

// A job that went through the outbox is the one that a direct enqueue would have made, whatever its options and arguments.
func TestSameAsDirect(t *testing.T) {
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			clock := bellhop.NewManualClock(time.Now().UTC().Truncate(time.Microsecond))
			defaults := []bellhop.Option{bellhop.Queue("clients"), bellhop.Tags("everywhere"), bellhop.Meta("tenant", "Ömer 💡")}
			r := newRig(t, d.make(t), memory.New(memory.WithClock(clock)))
			direct, err := bellhop.NewClient(memory.New(memory.WithClock(clock)), defaults...)
			r.must(err)
			defer direct.Close()
			through, err := bellhop.NewClient(r.store, defaults...)
			r.must(err)
			r.box, err = outbox.New(through, r.dialect)
			r.must(err)
			r.relay(func(c *outbox.Config) { c.Poll = 10 * time.Millisecond })
			began, n := time.Now(), 0
			rapid.Check(t, func(rt *rapid.T) {
				if n > 0 && time.Since(began) > sameBudget() {
					return
				}
				n++
				var drafts, again []bellhop.Draft
				for i := range rapid.IntRange(1, 5).Draw(rt, "jobs") {
					id := bellhop.IDFromKey("same", fmt.Sprint(n, " ", i))
					draft := drawDraft(rt, id)
					drafts, again = append(drafts, draft), append(again, draft)
				}
				want, err := bellhop.Enqueue(r.ctx, direct, drafts...)
				if err != nil { // and then the outbox refuses it for the same reason
					r.tx(func(tx *sql.Tx) bool {
						_, other := bellhop.Enqueue(r.ctx, r.box.Within(tx), again...)
						if other == nil || other.Error() != err.Error() {
							rt.Fatalf("direct: %v, through the outbox: %v", err, other)
						}
						return false
					})
					return
				}
				r.enqueue(again...)
				r.moved()
				for i := range want {
					compareJobs(rt, i, get(r, direct, want[i].ID), get(r, through, want[i].ID))
				}
			})
			if a, b := r.count(), countAll(r, direct.Store()); a != b {
				t.Errorf("%d jobs through the outbox, %d directly", a, b)
			}
			t.Logf("%d runs", n)
		})
	}
}

// sameBudget bounds the time of the random runs on one database.
func sameBudget() time.Duration {
	if testing.Short() {
		return time.Second
	}
	return 4 * time.Second
}

func get(r *rig, c *bellhop.Client, id bellhop.ID) *bellhop.Snapshot {
	r.t.Helper()
	s, err := c.Get(r.ctx, id)
	r.must(err)
	return s
}

func countAll(r *rig, s bellhop.Store) int {
	n, err := storetest.CountAll(r.ctx, s, bellhop.Filter{}, 1_000_000)
	r.must(err)
	return n
}

// compareJobs allows one difference: a delay counts from the enqueue, which was a little before the move.
func compareJobs(rt *rapid.T, i int, direct, through *bellhop.Snapshot) {
	if early := direct.Place.Due.Sub(through.Place.Due); early < 0 || early > 30*time.Second {
		rt.Fatalf("job %d is due %v, directly %v", i, through.Place.Due, direct.Place.Due)
	}
	through.Place.Due = direct.Place.Due
	if direct.Place.State == bellhop.StateScheduled && through.Place.State == bellhop.StateReady {
		through.Place.State = direct.Place.State // a delay of less than the move took
	}
	if diff := cmp.Diff(direct, through); diff != "" {
		rt.Fatalf("job %d (-direct +through the outbox):\n%s", i, diff)
	}
}

var drawnText = rapid.StringOfN(rapid.RuneFrom([]rune("aZ0 \n\t\u0001\u007f\"\\'`$?é߀漢💡\u2028\ufeff<>&")), 0, 20, -1)

// drawDraft makes a job with random options and arguments.
func drawDraft(rt *rapid.T, id bellhop.ID) bellhop.Draft {
	opts := []bellhop.Option{bellhop.WithID(id)}
	maybe := func(what string, option func() bellhop.Option) {
		if rapid.Bool().Draw(rt, what) {
			opts = append(opts, option())
		}
	}
	maybe("queue?", func() bellhop.Option {
		return bellhop.Queue(rapid.SampledFrom([]string{"mail", "a.b-c/d:e", "x"}).Draw(rt, "queue"))
	})
	maybe("priority?", func() bellhop.Option { return bellhop.Priority(rapid.IntRange(-9, 9).Draw(rt, "priority")) })
	maybe("at?", func() bellhop.Option {
		return bellhop.At(time.UnixMicro(rapid.Int64Range(0, 7_000_000_000_000_000).Draw(rt, "at")))
	})
	maybe("in?", func() bellhop.Option {
		return bellhop.In(time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(rt, "in")))
	})
	maybe("attempts?", func() bellhop.Option { return bellhop.Attempts(rapid.IntRange(1, 10_000).Draw(rt, "attempts")) })
	maybe("timeout?", func() bellhop.Option {
		return bellhop.Timeout(time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(100*time.Hour)).Draw(rt, "timeout")))
	})
	maybe("retention?", func() bellhop.Option {
		return bellhop.Retention(rapid.SampledFrom([]time.Duration{time.Second, 12345678901 * time.Nanosecond, bellhop.Forever}).Draw(rt, "retention"))
	})
	maybe("unique?", bellhop.Unique)
	maybe("unique key?", func() bellhop.Option {
		return bellhop.UniqueKey(rapid.SampledFrom([]string{"k", "schlüssel 💡", "'"}).Draw(rt, "key"))
	})
	maybe("tags?", func() bellhop.Option { return bellhop.Tags("z", "a", "a") })
	maybe("meta?", func() bellhop.Option { return bellhop.Meta("note", drawnText.Draw(rt, "note")) })
	args := rapid.OneOf(
		rapid.SampledFrom([]string{
			`{}`, ` [ 1 , 2 ] `, "{\"b\":1,\n\"a\":9007199254740993}", `1e400`, `-0`, `"\ud83d\udca1"`, `"<&>"`, `null`, `{"a":"\\u0000"}`, `"\u0000"`, `{`,
		}),
		rapid.Map(drawnText, func(s string) string { return fmt.Sprintf("%q", s) }),
	).Draw(rt, "args")
	return bellhop.RawJob(rapid.SampledFrom([]string{"test.a", "b"}).Draw(rt, "kind"), []byte(args), opts...)
}
