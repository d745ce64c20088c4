package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

func gosched() { runtime.Gosched() }

// spoilers break one clause each.
var spoilers = map[string]func(b *spoiled, s bellhop.Store){
	"G1": func(b *spoiled, s bellhop.Store) {
		b.exchange = func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
			reply, err := s.Exchange(ctx, r)
			if errors.Is(err, bellhop.ErrConflict) {
				_, _ = s.Exchange(ctx, &bellhop.ExchangeRequest{ID: r.ID, Outcomes: r.Outcomes})
			}
			return reply, err
		}
	},
	"G2": func(b *spoiled, _ bellhop.Store) { b.reopen = func() { b.Pass = Pass{memory.New()} } },
	"G3": func(b *spoiled, s bellhop.Store) { b.enqueue = alone(s) },
	"G4": func(b *spoiled, s bellhop.Store) {
		b.count = func(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
			return s.Count(context.WithoutCancel(ctx), q)
		}
	},
	"G5": func(b *spoiled, s bellhop.Store) {
		b.get = got(s, func(j *bellhop.Snapshot) {
			var compact bytes.Buffer
			if json.Compact(&compact, j.Args) == nil {
				j.Args = compact.Bytes()
			}
		})
	},
	"G6": func(b *spoiled, s bellhop.Store) {
		b.get = got(s, func(j *bellhop.Snapshot) { j.Place.Due = j.Place.Due.In(time.FixedZone("east", 3600)) })
	},
	"G7": func(b *spoiled, s bellhop.Store) { b.enqueue = alone(s) },
	"G8": func(b *spoiled, s bellhop.Store) {
		b.ping = func(ctx context.Context) (time.Time, error) {
			now, _ := s.Ping(ctx)
			return now, nil
		}
	},
	"G9": func(b *spoiled, s bellhop.Store) {
		b.list = func(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
			l, err := s.List(ctx, q)
			if l != nil {
				l.Jobs = slices.DeleteFunc(l.Jobs, func(j bellhop.Snapshot) bool { return j.Place.State == bellhop.StateDead })
			}
			return l, err
		}
	},
	"E1": func(b *spoiled, s bellhop.Store) {
		b.enqueue = func(ctx context.Context, r *bellhop.EnqueueRequest) (receipts []bellhop.Receipt, err error) {
			for i, j := range r.Jobs {
				one, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: []*bellhop.Job{j}})
				if err != nil {
					return nil, &bellhop.ItemError{Index: i, Err: bellhop.ErrIDTaken}
				}
				receipts = append(receipts, one...)
			}
			return receipts, nil
		}
	},
	"E2": func(b *spoiled, s bellhop.Store) {
		b.enqueue = receipts(s, func(r *bellhop.EnqueueRequest, list []bellhop.Receipt) {
			for i := range list {
				list[i].Existing = list[i].Existing && list[i].ID != r.Jobs[i].ID
			}
		})
	},
	"E3": func(b *spoiled, s bellhop.Store) {
		b.enqueue = func(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
			list, err := s.Enqueue(ctx, r)
			if item := (*bellhop.ItemError)(nil); errors.As(err, &item) {
				item.Index = 0
			}
			return list, err
		}
	},
	"E4": func(b *spoiled, s bellhop.Store) {
		b.enqueue = receipts(s, func(r *bellhop.EnqueueRequest, list []bellhop.Receipt) {
			for i := range list {
				list[i].ID = r.Jobs[i].ID
			}
		})
	},
	"E5": func(b *spoiled, s bellhop.Store) {
		b.act = func(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
			kept := &bellhop.EnqueueRequest{}
			found, _ := s.Get(ctx, r.IDs)
			for i := range found {
				if found[i].UniqueKey != "" {
					j := found[i].Job
					j.ID = bellhop.NewID()
					kept.Jobs = append(kept.Jobs, &j)
				}
			}
			reply, err := s.Act(ctx, r)
			_, _ = s.Enqueue(ctx, kept)
			return reply, err
		}
	},
	"E6": func(b *spoiled, s bellhop.Store) {
		b.enqueue = func(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
			return s.Enqueue(ctx, &bellhop.EnqueueRequest{Jobs: r.Jobs})
		}
	},
	"E7": func(b *spoiled, s bellhop.Store) {
		b.enqueue = receipts(s, func(_ *bellhop.EnqueueRequest, list []bellhop.Receipt) { slices.Reverse(list) })
	},
	"E8": func(b *spoiled, s bellhop.Store) {
		b.get = got(s, func(j *bellhop.Snapshot) {
			if !j.RunAt.IsZero() {
				j.Place.Due = j.RunAt
			}
		})
	},
	"X1": func(b *spoiled, s bellhop.Store) {
		b.exchange = eachOutcome(s, func(ctx context.Context, o *bellhop.Outcome) {
			found, _ := s.Get(ctx, []bellhop.ID{o.Token.JobID})
			if len(found) == 1 && found[0].Place.Claim == o.Token.Number && found[0].Place.State == bellhop.StateRunning {
				o.Token.Exchange = found[0].Place.Exchange
			}
		})
	},
	"X2": func(b *spoiled, s bellhop.Store) {
		b.exchange = eachOutcome(s, func(_ context.Context, o *bellhop.Outcome) { o.Crashes = 0 })
	},
	"X3": func(b *spoiled, s bellhop.Store) {
		b.exchange = eachOutcome(s, func(_ context.Context, o *bellhop.Outcome) { o.Wait /= 2 })
	},
	"X4": func(b *spoiled, s bellhop.Store) {
		b.exchange = exchanged(s, func(reply *bellhop.ExchangeReply) {
			for i := range reply.Refused {
				reply.Refused[i].Recorded = 0
			}
		})
	},
	"X5": func(b *spoiled, s bellhop.Store) {
		b.exchange = func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
			own := *r
			own.Limit *= 2
			own.Wants = append(slices.Clone(r.Wants), r.Wants...)
			return s.Exchange(ctx, &own)
		}
	},
	"X6": func(b *spoiled, s bellhop.Store) {
		b.exchange = func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
			own := *r
			own.Kinds = append(slices.Clone(r.Kinds), "unknown")
			return s.Exchange(ctx, &own)
		}
	},
	"X7": func(b *spoiled, s bellhop.Store) {
		b.exchange = exchanged(s, func(reply *bellhop.ExchangeReply) {
			for i := range reply.Claims {
				reply.Claims[i].Place.Reason = "of before"
			}
		})
	},
	"X8": func(b *spoiled, s bellhop.Store) { b.exchange = (&forgetsExchange{Pass: Pass{s}}).Exchange },
	"X9": func(b *spoiled, s bellhop.Store) {
		b.exchange = func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
			reply, err := s.Exchange(ctx, r)
			if errors.Is(err, bellhop.ErrProcessGone) {
				err = nil
			}
			return reply, err
		}
	},
	"X10": func(b *spoiled, s bellhop.Store) {
		b.exchange = func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
			for _, o := range r.Outcomes {
				if strings.Contains(o.Reason, "\x00") {
					return nil, errors.New("invalid byte sequence for encoding")
				}
			}
			return s.Exchange(ctx, r)
		}
	},
	"X11": func(b *spoiled, s bellhop.Store) {
		b.exchange = exchanged(s, func(reply *bellhop.ExchangeReply) { reply.Signals.Paused = nil })
	},
	"X12": func(b *spoiled, s bellhop.Store) {
		b.exchange = func(ctx context.Context, r *bellhop.ExchangeRequest) (*bellhop.ExchangeReply, error) {
			own := *r
			own.Puts = nil
			return s.Exchange(ctx, &own)
		}
	},
	"X13": func(b *spoiled, s bellhop.Store) {
		b.exchange = eachOutcome(s, func(_ context.Context, o *bellhop.Outcome) {
			if o.Kind == bellhop.OutcomeSucceeded {
				o.Log = nil
			}
		})
	},
	"R1": func(b *spoiled, s bellhop.Store) {
		b.report = func(ctx context.Context, reports []bellhop.Report) ([]bellhop.Refusal, error) {
			_, err := s.Report(ctx, reports)
			return nil, err
		}
	},
	"R2": func(b *spoiled, s bellhop.Store) {
		b.sweep = swept(s, func(c *bellhop.Claim) { c.Started = false })
	},
	"B1": func(b *spoiled, s bellhop.Store) {
		var known sync.Map
		b.beat = func(ctx context.Context, beat *bellhop.Beat) (*bellhop.BeatReply, error) {
			own := *beat
			first, _ := known.LoadOrStore(beat.Process.ID, beat.Process)
			own.Process = first.(bellhop.Process)
			return s.Beat(ctx, &own)
		}
	},
	"B2": func(b *spoiled, s bellhop.Store) {
		b.beat = func(ctx context.Context, beat *bellhop.Beat) (*bellhop.BeatReply, error) {
			reply, err := s.Beat(ctx, beat)
			if errors.Is(err, bellhop.ErrProcessGone) {
				return &bellhop.BeatReply{}, nil
			}
			return reply, err
		}
	},
	"B3": func(b *spoiled, s bellhop.Store) { b.beat = beaten(s, func(r *bellhop.BeatReply) { r.Lost = nil }) },
	"B4": func(b *spoiled, s bellhop.Store) { b.beat = beaten(s, func(r *bellhop.BeatReply) { r.Cancel = nil }) },
	"B5": func(b *spoiled, s bellhop.Store) {
		b.beat = func(ctx context.Context, beat *bellhop.Beat) (*bellhop.BeatReply, error) {
			own := *beat
			own.Leave = false
			return s.Beat(ctx, &own)
		}
	},
	"B6": func(b *spoiled, s bellhop.Store) { b.beat = beaten(s, func(r *bellhop.BeatReply) { r.Idle = true }) },
	"S1": func(b *spoiled, s bellhop.Store) {
		b.beat = func(ctx context.Context, beat *bellhop.Beat) (*bellhop.BeatReply, error) {
			own := *beat
			own.Lease /= 2
			return s.Beat(ctx, &own)
		}
	},
	"S2": func(b *spoiled, s bellhop.Store) {
		var told sync.Map
		b.sweep = func(ctx context.Context, limit int) ([]bellhop.Claim, error) {
			claims, err := s.Sweep(ctx, limit)
			return slices.DeleteFunc(claims, func(c bellhop.Claim) bool {
				_, before := told.LoadOrStore(c.Token, true)
				return before
			}), err
		}
	},
	"S3": func(b *spoiled, s bellhop.Store) {
		b.sweep = func(ctx context.Context, limit int) ([]bellhop.Claim, error) {
			claims, err := s.Sweep(ctx, limit)
			if err == nil {
				_, err = s.Exchange(ctx, sweepRequest(claims, time.Now()))
			}
			return claims, err
		}
	},
	"P1": func(b *spoiled, s bellhop.Store) {
		b.promote = func(ctx context.Context, _ int) (int, time.Duration, error) {
			return runScheduled(ctx, s, func(*bellhop.Snapshot) bool { return true })
		}
	},
	"P2": func(b *spoiled, s bellhop.Store) {
		b.promote = func(ctx context.Context, _ int) (int, time.Duration, error) {
			now, _ := s.Ping(ctx)
			return runScheduled(ctx, s, func(j *bellhop.Snapshot) bool { return !j.Place.Due.After(now) })
		}
	},
	"D1": func(b *spoiled, s bellhop.Store) {
		b.prune = func(ctx context.Context, limit int) (int, error) {
			n, err := s.Prune(ctx, limit)
			_, _ = s.Act(ctx, &bellhop.ActRequest{Action: bellhop.ActDelete, Filter: bellhop.Filter{States: bellhop.States(bellhop.StateDead)}})
			return n, err
		}
	},
	"D2": func(b *spoiled, s bellhop.Store) {
		b.prune = func(ctx context.Context, limit int) (int, error) {
			list, err := CountAll(ctx, s, bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}, limit)
			return list, err
		}
	},
	"A1": func(b *spoiled, s bellhop.Store) { b.act = acted(s, func(r *bellhop.ActReply) { r.Skipped = nil }) },
	"A2": func(b *spoiled, s bellhop.Store) {
		b.exchange = exchanged(s, func(reply *bellhop.ExchangeReply) { reply.Signals.Cancel = nil })
	},
	"A3": func(b *spoiled, s bellhop.Store) {
		b.get = got(s, func(j *bellhop.Snapshot) { j.Place.Generation = 0 })
	},
	"A4": func(b *spoiled, s bellhop.Store) { b.act = acted(s, func(r *bellhop.ActReply) { r.Next = "" }) },
	"A5": func(b *spoiled, s bellhop.Store) {
		b.act = func(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
			own := *r
			own.Reason = ""
			return s.Act(ctx, &own)
		}
	},
	"A6": func(b *spoiled, s bellhop.Store) {
		b.act = func(ctx context.Context, r *bellhop.ActRequest) (*bellhop.ActReply, error) {
			own := *r
			own.Fence = nil
			return s.Act(ctx, &own)
		}
	},
	"Q1": func(b *spoiled, s bellhop.Store) {
		b.get = got(s, func(j *bellhop.Snapshot) { j.History = j.History[:len(j.History)/2] })
	},
	"L1": func(b *spoiled, s bellhop.Store) {
		b.list = func(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
			l, err := s.List(ctx, q)
			if l != nil && len(l.Jobs) > 1 && q.After != "" {
				l.Jobs = l.Jobs[1:]
			}
			return l, err
		}
	},
	"L2": func(b *spoiled, s bellhop.Store) {
		b.list = func(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
			own := *q
			own.Limit++
			return s.List(ctx, &own)
		}
	},
	"L3": func(b *spoiled, s bellhop.Store) {
		b.list = func(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
			own := *q
			own.WithLast = false
			return s.List(ctx, &own)
		}
	},
	"L4": func(b *spoiled, s bellhop.Store) {
		b.list = func(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
			own := *q
			own.Filter.Args, own.Filter.Error = nil, ""
			return s.List(ctx, &own)
		}
	},
	"N2": func(b *spoiled, s bellhop.Store) {
		b.count = func(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
			own := *q
			own.After = ""
			return s.Count(ctx, &own)
		}
	},
	"N1": func(b *spoiled, s bellhop.Store) {
		b.count = func(ctx context.Context, q *bellhop.Query) (*bellhop.Counted, error) {
			own := *q
			own.Limit++
			return s.Count(ctx, &own)
		}
	},
	"T1": func(b *spoiled, s bellhop.Store) {
		b.stats = func(ctx context.Context, limit int) ([]bellhop.QueueStats, error) { return s.Stats(ctx, limit+1) }
	},
	"T2": func(b *spoiled, s bellhop.Store) {
		b.stats = func(ctx context.Context, limit int) ([]bellhop.QueueStats, error) {
			list, err := s.Stats(ctx, limit)
			for i := range list {
				list[i].Limit = min(limit, 99)
			}
			return list, err
		}
	},
	"T3": func(b *spoiled, s bellhop.Store) {
		b.stats = func(ctx context.Context, limit int) ([]bellhop.QueueStats, error) { return s.Stats(ctx, max(limit, 1)) }
	},
	"U1": func(b *spoiled, _ bellhop.Store) {
		b.pause = func(context.Context, string, bool) error { return nil }
	},
	"U2": func(b *spoiled, s bellhop.Store) {
		b.reopen = func() { _ = s.Pause(context.Background(), testQueue, false) }
	},
	"C1": func(b *spoiled, s bellhop.Store) {
		b.records = func(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
			list, err := s.Records(ctx, q)
			slices.Reverse(list)
			return list, err
		}
	},
	"C2": func(b *spoiled, s bellhop.Store) {
		b.put = func(ctx context.Context, writes []bellhop.RecordWrite) error {
			own := slices.Clone(writes)
			for i := range own {
				own[i].Expect = bellhop.ExpectAny
			}
			return s.Put(ctx, own)
		}
	},
	"C3": func(b *spoiled, s bellhop.Store) {
		b.records = func(ctx context.Context, q *bellhop.RecordQuery) ([]bellhop.Record, error) {
			list, err := s.Records(ctx, q)
			for i := range list {
				list[i].Version = 1
			}
			return list, err
		}
	},
}

// receipts makes an Enqueue whose receipts are changed.
func receipts(s bellhop.Store, change func(*bellhop.EnqueueRequest, []bellhop.Receipt)) func(context.Context, *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	return func(ctx context.Context, r *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
		list, err := s.Enqueue(ctx, r)
		if err == nil {
			change(r, list)
		}
		return list, err
	}
}

// swept makes a Sweep whose claims are changed.
func swept(s bellhop.Store, change func(*bellhop.Claim)) func(context.Context, int) ([]bellhop.Claim, error) {
	return func(ctx context.Context, limit int) ([]bellhop.Claim, error) {
		claims, err := s.Sweep(ctx, limit)
		for i := range claims {
			change(&claims[i])
		}
		return claims, err
	}
}
