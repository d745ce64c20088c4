package cli

import (
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// filterFlags select jobs.
type filterFlags struct {
	State   []bellhop.State `help:"Jobs in these states: ready, dead, …." placeholder:"STATE" group:"filter"`
	Queue   []string        `help:"Jobs of these queues." placeholder:"NAME" group:"filter"`
	Kind    []string        `help:"Jobs of these kinds." placeholder:"NAME" group:"filter"`
	Tag     []string        `help:"Jobs that have all of these tags." placeholder:"TAG" group:"filter"`
	Process string          `help:"Jobs that run in the process with this id." placeholder:"ID" group:"filter"`
	Since   flexTime        `help:"Jobs enqueued at this time or later: 2026-01-31T15:04:05Z, 2026-01-31, or 90m (ago)." placeholder:"TIME" group:"filter"`
	Until   flexTime        `help:"Jobs enqueued before this time." placeholder:"TIME" group:"filter"`
	Text    string          `help:"Jobs whose arguments have this text in them, byte for byte." placeholder:"TEXT" group:"filter"`

	NotQueue       []string `help:"Jobs of other queues than these." placeholder:"NAME" group:"filter"`
	FinishedAfter  flexTime `help:"Jobs that ended at this time or later." placeholder:"TIME" group:"filter"`
	FinishedBefore flexTime `help:"Jobs that ended before this time." placeholder:"TIME" group:"filter"`
	Arg            []string `help:"Jobs with this value in their arguments: user.id=42, items.0.sku=A-1." placeholder:"PATH=VALUE" sep:"none" group:"filter"`
	Error          string   `help:"Jobs whose newest attempt failed with this text in its error." placeholder:"TEXT" group:"filter"`
	Group          string   `help:"Jobs whose newest attempt failed in this group: a fingerprint." placeholder:"FINGERPRINT" group:"filter"`
}

// filter returns what the flags select. now is the store's clock.
func (f *filterFlags) filter(now time.Time) (bellhop.Filter, error) {
	out := bellhop.Filter{
		States: bellhop.States(f.State...), Queues: f.Queue, NotQueues: f.NotQueue, Kinds: f.Kind, Tags: f.Tag,
		Text: f.Text, Error: f.Error, Fingerprint: f.Group,
	}
	for _, names := range []struct {
		what string
		list []string
	}{{"queue", f.Queue}, {"queue", f.NotQueue}, {"kind", f.Kind}, {"tag", f.Tag}} {
		for _, name := range names.list {
			if err := bellhop.CheckName(names.what, name); err != nil {
				return out, refused("%w", err)
			}
		}
	}
	var err error
	if f.Process != "" {
		if out.Process, err = bellhop.ParseID(f.Process); err != nil {
			return out, refused("--process: %w", err)
		}
	}
	for _, text := range f.Arg {
		m, err := bellhop.ParseArgMatch(text)
		if err != nil {
			return out, usage("--arg: %w", err)
		}
		out.Args = append(out.Args, m)
	}
	for _, bound := range []struct {
		flag string
		in   flexTime
		out  *time.Time
	}{
		{"--since", f.Since, &out.EnqueuedAfter},
		{"--until", f.Until, &out.EnqueuedBefore},
		{"--finished-after", f.FinishedAfter, &out.FinishedAfter},
		{"--finished-before", f.FinishedBefore, &out.FinishedBefore},
	} {
		if *bound.out, err = bound.in.time(now); err != nil {
			return out, usage("%s: %w", bound.flag, err)
		}
	}
	if err := out.Check(); err != nil {
		return out, refused("%w", err)
	}
	return out, nil
}

// empty reports whether nothing is selected, which means all jobs.
func (f *filterFlags) empty() bool {
	return len(f.State)+len(f.Queue)+len(f.NotQueue)+len(f.Kind)+len(f.Tag)+len(f.Arg) == 0 &&
		f.Process+f.Text+f.Error+f.Group+f.Since.spec+f.Until.spec+f.FinishedAfter.spec+f.FinishedBefore.spec == ""
}

// parseIDs reads the ids of jobs.
func parseIDs(texts []string) ([]bellhop.ID, error) {
	ids := make([]bellhop.ID, len(texts))
	for i, text := range texts {
		id, err := bellhop.ParseID(strings.TrimSpace(text))
		if err != nil {
			return nil, refused("%w", err)
		}
		ids[i] = id
	}
	return ids, nil
}
