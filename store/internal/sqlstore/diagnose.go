package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/finding"
)

// Levels of findings, the gravest first.
const (
	LevelProblem = finding.Problem
	LevelWarning = finding.Warning
	LevelOK      = finding.OK
)

// Look is one look of a diagnosis.
type Look func(ctx context.Context) ([]bellhop.Finding, error)

// Found is what a look with one finding returns.
func Found(level, subject, advice, format string, args ...any) ([]bellhop.Finding, error) {
	return []bellhop.Finding{{Level: level, Subject: subject, Detail: fmt.Sprintf(format, args...), Advice: advice}}, nil
}

// Diagnose looks at the schema first and, if that is as it should be, at
// everything else. It returns the gravest findings first.
func (s *Store) Diagnose(ctx context.Context, m *Migrations, looks ...Look) ([]bellhop.Finding, error) {
	all, err := m.look(ctx)
	if err != nil || all[0].Level == LevelProblem {
		return all, err
	}
	found, err := s.Examine(ctx, append(looks, s.lookWriting, s.lookProcesses, s.lookOrphans, s.lookBlocked)...)
	all = append(all, found...)
	finding.GravestFirst(all)
	return all, err
}

// Examine returns what the looks find, in their order, until one fails.
func (s *Store) Examine(ctx context.Context, looks ...Look) (all []bellhop.Finding, err error) {
	for _, look := range looks {
		findings, err := look(ctx)
		if err != nil {
			_, err = s.Dialect.Explain(err)
			return all, fmt.Errorf("%s store: diagnose: %w", s.Dialect.Name(), err)
		}
		all = append(all, findings...)
	}
	return all, nil
}

func (m *Migrations) look(ctx context.Context) ([]bellhop.Finding, error) {
	have, newest, err := m.Schema(ctx)
	switch {
	case err != nil:
		return Found(LevelProblem, "schema", "see that the server runs, and use the program that made the schema", "%v", err)
	case have > newest:
		return Found(LevelProblem, "schema", "use a newer release of this program", "version %d; this program knows %d", have, newest)
	case have < newest:
		return Found(LevelProblem, "schema", "run `bellhop migrate up`", "version %d; this program needs %d", have, newest)
	}
	return Found(LevelOK, "schema", "", "version %d", have)
}

func (s *Store) lookWriting(ctx context.Context) ([]bellhop.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	began := time.Now()
	err := s.Put(ctx, []bellhop.RecordWrite{{Space: "bellhop.doctor", Key: "write", Expect: bellhop.ExpectAny, TTL: time.Minute}})
	took := time.Since(began).Round(10 * time.Microsecond)
	switch {
	case err != nil:
		return Found(LevelProblem, "writing", "look for a program that holds a writing transaction open, at the rights, and at the disk",
			"a write failed after %v: %v", took, err)
	case took > time.Second:
		return Found(LevelWarning, "writing", "look for a program that holds writing transactions open long, and at the disk", "a write took %v", took)
	}
	return Found(LevelOK, "writing", "", "a write took %v", took)
}

var (
	countOrphans = compose("count orphans", `select count(*) from bellhop_running r
		where not exists (select 1 from bellhop_processes p where p.id = r.process and p.gone_at is null)`)
	countBlocked = compose("count blocked", `select count(*) from (select 1 from bellhop_blocked where due < ? {limit}) c`)
)

// lookProcesses does not ask how much each of them runs, which would have to be counted.
func (s *Store) lookProcesses(ctx context.Context) (findings []bellhop.Finding, err error) {
	err = s.read(ctx, bellhop.OpProcesses, func(ctx context.Context, t *txn) error {
		all, err := t.processes(ctx)
		if err != nil {
			return err
		}
		findings, _ = Found(LevelOK, "processes", "", "%d alive", len(all))
		for _, p := range all {
			if silent := at(t.now).Sub(p.BeatAt); silent > time.Minute {
				more, _ := Found(LevelWarning, "process "+p.Name, "look whether it is frozen; its jobs are taken back by the next sweep",
					"it has been silent for %v", silent.Round(time.Second))
				findings = append(findings, more...)
			}
		}
		return nil
	})
	return findings, err
}

func (s *Store) lookOrphans(ctx context.Context) (found []bellhop.Finding, err error) {
	err = s.read(ctx, bellhop.OpProcesses, func(ctx context.Context, t *txn) error {
		n, err := t.count(ctx, countOrphans)
		if err == nil && n > 0 {
			found, err = Found(LevelWarning, "orphans", "start a worker: it takes them back", "%d running jobs have no living process", n)
		}
		return err
	})
	return found, err
}

// longBlocked is for how long a job may be blocked without being remarkable.
const longBlocked = 24 * time.Hour

func (s *Store) lookBlocked(ctx context.Context) (found []bellhop.Finding, err error) {
	err = s.read(ctx, bellhop.OpStats, func(ctx context.Context, t *txn) error {
		n, err := t.count(ctx, countBlocked, t.now-wait(longBlocked), 10_000)
		if err == nil && n > 0 {
			found, err = Found(LevelWarning, "blocked jobs", "look at what they wait for", "%d have been blocked for more than a day", n)
			return err
		}
		found, _ = Found(LevelOK, "blocked jobs", "", "none for long")
		return err
	})
	return found, err
}
