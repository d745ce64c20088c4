//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gobellhop/bellhop"
)

var errPoison = errors.New("the poison was not found as it should")

// poisoned lets one job among a thousand end every process that runs it, with
// two workers that are restarted at once, and sees that it is found, and that
// none of the others is blamed.
func poisoned(ctx context.Context, s settings) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	if err := s.startServer(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.closeServer()) }()
	client, err := bellhop.Open(ctx, s.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	const good, place = 1000, 300
	jobs := make([]work, good+1)
	for i := range jobs {
		jobs[i] = work{N: i, Takes: 5 * time.Millisecond, Poison: i == place}
	}
	receipts, err := plain.EnqueueMany(ctx, client, jobs)
	if err != nil {
		return err
	}
	c := &children{folder: s.folder, role: role{Store: s.store, Ledger: filepath.Join(s.folder, "ledger"), Slots: slots, Times: s.times}}
	defer c.killAll()
	began := time.Now()
	deaths, err := supervise(ctx, client, c, 2)
	if err != nil {
		return err
	}
	if err := c.drain(ctx, client.Store(), 30*time.Second); err != nil {
		return err
	}
	failures := 0
	var problems []error
	for i, r := range receipts {
		snapshot, err := client.Get(ctx, r.ID)
		if err != nil {
			return err
		}
		p := snapshot.Place
		switch {
		case i == place && (p.State != bellhop.StateDead || p.Crashes != bellhop.MaxCrashes):
			problems = append(problems, fmt.Errorf("the poison is %s with %d crashes", p.State, p.Crashes))
		case i != place && (p.State != bellhop.StateSucceeded || p.Crashes != 0):
			problems = append(problems, fmt.Errorf("good job %d is %s with %d crashes: %s", i, p.State, p.Crashes, p.Reason))
		case i != place && p.Failures > 0:
			failures++
		}
	}
	fmt.Fprintf(s.out, "storm: the poison was dead after %d processes and %v; %d good jobs done, %d of them after a sweep, %d blamed\n",
		deaths, time.Since(began).Round(time.Millisecond), good, failures, len(problems))
	if len(problems) > 0 {
		return fmt.Errorf("%w: %w", errPoison, problems[0])
	}
	return nil
}

// supervise keeps n worker processes running until all jobs are final, and
// returns how many have died.
func supervise(ctx context.Context, client *bellhop.Client, c *children, n int) (deaths int, err error) {
	live := bellhop.Filter{States: bellhop.States(bellhop.StateScheduled, bellhop.StateReady, bellhop.StateRunning)}
	for deadline := time.Now().Add(settleWithin); ; {
		for _, k := range c.list() {
			select {
			case <-k.ended:
				c.forget(k)
				deaths++
			default:
			}
		}
		for len(c.list()) < n {
			if _, err := c.start(); err != nil {
				return deaths, err
			}
		}
		left, err := client.Count(ctx, live, 10_000)
		if err == nil && left == 0 {
			return deaths, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return deaths, fmt.Errorf("%d jobs are not done after %v and %d deaths: %w", left, settleWithin, deaths, errors.Join(err, errPoison))
		}
		time.Sleep(50 * time.Millisecond) // polled: the end of a job is told to its own process only
	}
}
