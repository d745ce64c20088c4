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
}

// filter returns what the flags select. now is the store's clock.
func (f *filterFlags) filter(now time.Time) (bellhop.Filter, error) {
	out := bellhop.Filter{States: bellhop.States(f.State...), Queues: f.Queue, Kinds: f.Kind, Tags: f.Tag, Text: f.Text}
	for _, names := range []struct {
		what string
		list []string
	}{{"queue", f.Queue}, {"kind", f.Kind}, {"tag", f.Tag}} {
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
	if out.EnqueuedAfter, err = f.Since.time(now); err != nil {
		return out, usage("--since: %w", err)
	}
	if out.EnqueuedBefore, err = f.Until.time(now); err != nil {
		return out, usage("--until: %w", err)
	}
	return out, nil
}

// empty reports whether nothing is selected, which means all jobs.
func (f *filterFlags) empty() bool {
	return len(f.State)+len(f.Queue)+len(f.Kind)+len(f.Tag)+len(f.Process)+len(f.Text) == 0 && f.Since.spec == "" && f.Until.spec == ""
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
