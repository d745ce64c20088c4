package bigstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// Look is one way of looking at a store.
type Look struct {
	Name string
	Do   func(ctx context.Context, c *bellhop.Client) (string, error)
}

// Looks returns what people look at: a page for each filter, counts, the queues and the processes. What each returns says what it saw.
func Looks() []Look {
	dead, ready := bellhop.States(bellhop.StateDead), bellhop.States(bellhop.StateReady)
	finished := bellhop.States(bellhop.StateSucceeded, bellhop.StateDiscarded, bellhop.StateCancelled)
	now := time.Now()
	filters := []struct {
		name string
		f    bellhop.Filter
	}{
		{"all", bellhop.Filter{}},
		{"succeeded", bellhop.Filter{States: bellhop.States(bellhop.StateSucceeded)}},
		{"discarded", bellhop.Filter{States: bellhop.States(bellhop.StateDiscarded)}},
		{"ready", bellhop.Filter{States: ready}},
		{"dead", bellhop.Filter{States: dead}},
		{"queue", bellhop.Filter{Queues: []string{Queue}}},
		{"ready, queue", bellhop.Filter{States: ready, Queues: []string{Queue}}},
		{"dead, queue", bellhop.Filter{States: dead, Queues: []string{Queue}}},
		{"finished, queue", bellhop.Filter{States: finished, Queues: []string{Queue}}},
		{"finished, not a queue", bellhop.Filter{States: finished, NotQueues: []string{Queue}}},
		{"kind", bellhop.Filter{Kinds: []string{Kind}}},
		{"kind of none", bellhop.Filter{Kinds: []string{"kind-none"}}},
		{"finished, kind", bellhop.Filter{States: finished, Kinds: []string{Kind}}},
		{"tag", bellhop.Filter{Tags: []string{Tag}}},
		{"text", bellhop.Filter{Text: "user77@example"}},
		{"value", bellhop.Filter{Args: []bellhop.ArgMatch{{Path: "user.id", Value: "77"}}}},
		{"dead, value", bellhop.Filter{States: dead, Args: []bellhop.ArgMatch{{Path: "amount", Value: "51.5"}}}},
		{"error", bellhop.Filter{Error: Error}},
		{"dead, error", bellhop.Filter{States: dead, Error: Error}},
		{"dead, group", bellhop.Filter{States: dead, Fingerprint: "0123456789abcdef"}},
		{"enqueued a week ago", bellhop.Filter{EnqueuedAfter: now.Add(-8 * 24 * time.Hour), EnqueuedBefore: now.Add(-7 * 24 * time.Hour)}},
		{"enqueued before, kind", bellhop.Filter{EnqueuedBefore: now.Add(-7 * 24 * time.Hour), Kinds: []string{Kind}}},
		{"finished before", bellhop.Filter{FinishedBefore: now.Add(-7 * 24 * time.Hour)}},
		{"finished after", bellhop.Filter{FinishedAfter: now.Add(-time.Hour)}},
	}
	var looks []Look
	for _, c := range filters {
		looks = append(looks, Look{"list " + c.name, func(ctx context.Context, client *bellhop.Client) (string, error) {
			l, err := client.List(ctx, bellhop.Query{Filter: c.f, WithLast: true, WithoutArgs: true})
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("%d jobs of %d", len(l.Jobs), l.Examined), nil
		}})
	}
	for _, c := range filters {
		looks = append(looks, Look{"count " + c.name, func(ctx context.Context, client *bellhop.Client) (string, error) {
			t, err := client.Tally(ctx, c.f, 10_000)
			return fmt.Sprintf("%d, more %v, of %d", t.Count, t.More, t.Examined), err
		}})
	}
	for _, limit := range []int{100, 1000, 10_000} {
		looks = append(looks, Look{fmt.Sprintf("stats %d", limit), func(ctx context.Context, client *bellhop.Client) (string, error) {
			stats, err := client.Store().Stats(ctx, limit)
			return fmt.Sprintf("%d queues", len(stats)), err
		}})
	}
	return append(looks, Look{"processes", func(ctx context.Context, client *bellhop.Client) (string, error) {
		p, err := client.Processes(ctx)
		return fmt.Sprintf("%d alive", len(p)), err
	}})
}

// Median runs a look n times and returns how long one takes in the middle, and what it saw.
func (l Look) Median(ctx context.Context, c *bellhop.Client, n int) (time.Duration, string, error) {
	var took []time.Duration
	saw := ""
	for range n {
		begin := time.Now()
		var err error
		if saw, err = l.Do(ctx, c); err != nil {
			return 0, "", fmt.Errorf("%s: %w", l.Name, err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2], saw, nil
}
