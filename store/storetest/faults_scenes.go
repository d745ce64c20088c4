package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// faultScenes has at least one scene for each verb.
var faultScenes = slices.Concat([]scene{
	{"enqueue", bellhop.OpEnqueue, sceneEnqueue(nil)},
	{"enqueue with puts", bellhop.OpEnqueue, sceneEnqueue([]bellhop.RecordWrite{
		{Space: viewSpace, Key: "with", Value: []byte("jobs"), Expect: bellhop.ExpectNone},
		{Space: viewSpace, Key: "three", Expect: bellhop.ExpectAny, Delete: true},
	})},
	{"exchange", bellhop.OpExchange, sceneExchange(nil)},
	{"exchange with puts", bellhop.OpExchange, sceneExchange([]bellhop.RecordWrite{
		{Space: viewSpace, Key: "with", Value: []byte("outcomes"), Expect: bellhop.ExpectNone},
	})},
	{"exchange of swept claims", bellhop.OpExchange, sceneSwept},
	{"report", bellhop.OpReport, sceneReport},
	{"sweep", bellhop.OpSweep, sceneSweep},
	{"promote", bellhop.OpPromote, scenePromote},
	{"prune", bellhop.OpPrune, scenePrune},
	{"pause", bellhop.OpPause, sceneCall(func(ctx context.Context, s bellhop.Store) error { return s.Pause(ctx, "a", true) })},
	{"resume", bellhop.OpPause, sceneCall(func(ctx context.Context, s bellhop.Store) error { return s.Pause(ctx, "p", false) })},
	{"put", bellhop.OpPut, scenePut},
	{"first beat", bellhop.OpBeat, sceneBeat(func(w *faultWorld) *bellhop.Beat {
		return &bellhop.Beat{Process: bellhop.Process{ID: faultID("new"), StartedAt: w.alive.StartedAt}, Lease: longLease}
	})},
	{"beat", bellhop.OpBeat, sceneBeat(func(w *faultWorld) *bellhop.Beat {
		p := w.alive
		p.Busy = 3
		return &bellhop.Beat{Process: p, Lease: longLease, Held: []bellhop.Token{w.held[0].Token, w.lost[0].Token}}
	})},
	{"last beat", bellhop.OpBeat, sceneBeat(func(w *faultWorld) *bellhop.Beat { return &bellhop.Beat{Process: w.alive, Leave: true} })},
}, sceneActs, sceneReads)

// sceneCall makes a scene of a verb whose reply says nothing.
func sceneCall(call func(ctx context.Context, s bellhop.Store) error) func(context.Context, bellhop.Store, *faultWorld) (any, error) {
	return func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) { return nil, call(ctx, s) }
}

func sceneEnqueue(puts []bellhop.RecordWrite) func(context.Context, bellhop.Store, *faultWorld) (any, error) {
	return func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		receipts, err := s.Enqueue(ctx, &bellhop.EnqueueRequest{Puts: puts, Jobs: []*bellhop.Job{
			faultJob("n1"), faultJob("n2", withDelay(100*time.Hour)), faultJob("n3", withKey("key n3")), faultJob("n4", withKey("key a2")),
		}})
		for i := range receipts {
			receipts[i].Existing = false // it is true when repeated
		}
		return receipts, err
	}
}

func sceneExchange(puts []bellhop.RecordWrite) func(context.Context, bellhop.Store, *faultWorld) (any, error) {
	return func(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error) {
		results := []error{nil, errors.New("failed"), bellhop.Dead(nil), bellhop.Snooze(100 * time.Hour)}
		var outcomes []bellhop.Outcome
		for i, result := range results {
			outcomes = append(outcomes, settled(&w.held[i], result))
		}
		outcomes[0].Result = []byte(`{"done":true}`)
		reply, err := s.Exchange(ctx, &bellhop.ExchangeRequest{
			ID: faultID("exchange"), Process: w.alive.ID, Outcomes: append(outcomes, w.held[4].HandBack("test")), Puts: puts,
			Wants: []bellhop.Want{{Queue: "a", Count: 2}, {Queue: "p", Count: 2}, {Queue: "x", Count: 2}}, Limit: 3, Kinds: []string{raceKind},
		})
		if err != nil {
			return nil, err
		}
		if len(reply.Refused) > 0 {
			return nil, fmt.Errorf("X4: refused: %+v", reply.Refused)
		}
		return sortClaims(reply.Claims), nil
	}
}

func sceneSwept(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error) {
	r := sweepRequest(w.lost, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	r.ID = faultID("swept")
	reply, err := s.Exchange(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(reply.Refused) > 0 {
		return nil, fmt.Errorf("X4: refused: %+v", reply.Refused)
	}
	return nil, nil
}

func sceneReport(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error) {
	refused, err := s.Report(ctx, []bellhop.Report{
		{Token: w.held[0].Token, Started: true},
		{Token: w.held[1].Token, Progress: []byte(`{"done":1}`)},
		{Token: w.lost[0].Token, Progress: []byte(`{"done":2}`)},
		{Token: bellhop.Token{JobID: w.held[2].Token.JobID, Number: 7, Exchange: w.held[2].Token.Exchange}, Progress: []byte(`{"done":3}`)},
	})
	return refused, err
}

func sceneSweep(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
	claims, err := s.Sweep(ctx, 10)
	return sortClaims(claims), err
}

func scenePromote(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
	_, _, err := s.Promote(ctx, 10)
	return nil, err
}

func scenePrune(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
	_, err := s.Prune(ctx, 10)
	return nil, err
}

func scenePut(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error) {
	return nil, s.Put(ctx, []bellhop.RecordWrite{
		{Space: viewSpace, Key: "one", Value: []byte("changed"), Expect: w.version},
		{Space: viewSpace, Key: "three", Expect: bellhop.ExpectAny, Delete: true},
		{Space: viewSpace, Key: "none", Expect: bellhop.ExpectNone, Check: true},
		{Space: viewSpace, Key: "four", Value: []byte("4"), Expect: bellhop.ExpectAny, TTL: 100 * time.Hour},
	})
}

func sceneBeat(beat func(w *faultWorld) *bellhop.Beat) func(context.Context, bellhop.Store, *faultWorld) (any, error) {
	return func(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error) {
		reply, err := s.Beat(ctx, beat(w))
		if err != nil {
			return nil, err
		}
		return []any{sortTokens(reply.Lost), sortClaims(reply.Extra), sortTokens(reply.Cancel)}, nil
	}
}

// sceneActs are all actions, by id and by filter.
var sceneActs = func() (list []scene) {
	names := map[bellhop.Action]string{
		bellhop.ActRetry: "x1 f3 a1 x2", bellhop.ActRunNow: "s3 a1 s1", bellhop.ActCancel: "a2 s3 c1 c2 f3 p1",
		bellhop.ActDiscard: "a2 x1 s1 c1", bellhop.ActDelete: "a2 x1 f3 s3 c1",
	}
	for action := bellhop.ActRetry; action <= bellhop.ActDelete; action++ {
		ids := faultIDs(names[action])
		for _, r := range []bellhop.ActRequest{
			{Action: action, Reason: "a test", IDs: ids},
			{Action: action, Reason: "a test", Filter: bellhop.Filter{IDs: ids}},
		} {
			name := action.String() + " by id"
			if len(r.IDs) == 0 {
				name = action.String() + " by filter"
			}
			list = append(list, scene{name, bellhop.OpAct, sceneCall(func(ctx context.Context, s bellhop.Store) error {
				_, err := s.Act(ctx, &r)
				return err
			})})
		}
	}
	return list
}()

// sceneReads are the verbs that change nothing.
var sceneReads = []scene{
	{"get", bellhop.OpGet, func(ctx context.Context, s bellhop.Store, w *faultWorld) (any, error) {
		jobs, err := s.Get(ctx, w.ids)
		return jobs, err
	}},
	{"list", bellhop.OpList, func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		jobs, err := s.List(ctx, &bellhop.Query{Limit: 1000})
		return jobs, err
	}},
	{"count", bellhop.OpCount, func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		n, err := CountAll(ctx, s, bellhop.Filter{Queues: []string{"a", "x"}}, 100)
		return n, err
	}},
	{"stats", bellhop.OpStats, func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		stats, err := s.Stats(ctx, 100)
		return stats, err
	}},
	{"processes", bellhop.OpProcesses, func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		list, err := s.Processes(ctx)
		return len(list), err
	}},
	{"records", bellhop.OpRecords, func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		list, err := s.Records(ctx, &bellhop.RecordQuery{Space: viewSpace, Prefix: "t"})
		return list, err
	}},
	{"ping", bellhop.OpPing, func(ctx context.Context, s bellhop.Store, _ *faultWorld) (any, error) {
		now, err := s.Ping(ctx)
		return now, err
	}},
}
