package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// Levels of findings, the gravest first.
const (
	levelProblem = "problem"
	levelWarning = "warning"
	levelOK      = "ok"
)

// Diagnose implements [bellhop.Diagnoser]. Its check of the file reads all of it.
func (s *Store) Diagnose(ctx context.Context) ([]bellhop.Finding, error) {
	var all []bellhop.Finding
	for _, look := range []func(context.Context) ([]bellhop.Finding, error){
		s.lookSchema, s.lookFile, s.lookDurability, s.lookWAL, s.lookLocks, s.lookWriter, s.lookProcesses, s.lookBlocked,
	} {
		findings, err := look(ctx)
		if err != nil {
			_, err = s.dialect.Explain(err)
			return all, fmt.Errorf("sqlite store: diagnose: %w", err)
		}
		all = append(all, findings...)
		if all[0].Level == levelProblem && all[0].Subject == "schema" {
			return all, nil // nothing else can be looked at
		}
	}
	order := []string{levelProblem, levelWarning, levelOK}
	slices.SortStableFunc(all, func(a, b bellhop.Finding) int {
		return slices.Index(order, a.Level) - slices.Index(order, b.Level)
	})
	return all, nil
}

func one(level, subject, advice, format string, args ...any) ([]bellhop.Finding, error) {
	return []bellhop.Finding{{Level: level, Subject: subject, Detail: fmt.Sprintf(format, args...), Advice: advice}}, nil
}

func (s *Store) lookSchema(ctx context.Context) ([]bellhop.Finding, error) {
	have, newest, err := s.Schema(ctx)
	switch {
	case err != nil:
		return one(levelProblem, "schema", "use the program that made it", "%v", err)
	case have > newest:
		return one(levelProblem, "schema", "use a newer release of this program", "version %d; this program knows %d", have, newest)
	case have < newest:
		return one(levelProblem, "schema", "run `bellhop migrate up`", "version %d; this program needs %d", have, newest)
	}
	return one(levelOK, "schema", "", "version %d", have)
}

func (s *Store) lookFile(ctx context.Context) ([]bellhop.Finding, error) {
	var lines []string
	rows, err := s.reader.QueryContext(ctx, "pragma quick_check(3)")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(lines) != 1 || lines[0] != "ok" {
		return one(levelProblem, "integrity", "stop all programs that use the file, and restore a backup or recover it with `sqlite3 FILE .recover`",
			"%s is damaged: %s", s.dialect.file(), strings.Join(lines, "; "))
	}
	size := int64(0)
	if info, err := os.Stat(s.settings.path); err == nil {
		size = info.Size()
	}
	return one(levelOK, "integrity", "", "%s is sound, %s", s.dialect.file(), bytes(size))
}

func (s *Store) lookDurability(ctx context.Context) ([]bellhop.Finding, error) {
	var mode string
	if err := s.reader.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if mode != "wal" {
		return one(levelWarning, "durability", "open the pool with journal_mode=wal, so that reading and writing do not wait for each other", "the journal mode is %s", mode)
	}
	level, advice := levelOK, ""
	if s.settings.synchronous != "full" && s.settings.synchronous != "extra" {
		level, advice = levelWarning, "use synchronous=full if no accepted job may be lost"
	}
	return one(level, "durability", advice, "%s", s.Capabilities().Durability)
}

// muchWAL is a size of the write-ahead log that does not come from work alone.
const muchWAL = 4 * maxLog

func (s *Store) lookWAL(context.Context) ([]bellhop.Finding, error) {
	if s.settings.path == "" {
		return nil, nil
	}
	size := int64(0)
	if info, err := os.Stat(s.settings.path + "-wal"); err == nil {
		size = info.Size()
	}
	if size > muchWAL {
		return one(levelWarning, "write-ahead log", "look for a program that holds a reading transaction open on the file", "%s: it cannot be worked off", bytes(size))
	}
	return one(levelOK, "write-ahead log", "", "%s", bytes(size))
}

func (s *Store) lookLocks(context.Context) ([]bellhop.Finding, error) {
	if s.settings.path == "" {
		return one(levelWarning, "lock files", "", "the database is not a file: only this process can use it")
	}
	folder := folderOf(s.settings.path)
	probe, err := os.CreateTemp(folder, "doctor-*.lock")
	if err != nil {
		return one(levelProblem, "lock files", "make the folder writable for this user", "no file can be made in %s: %v", folder, err)
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	other, err := os.OpenFile(probe.Name(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	if ok, err := tryLock(probe); !ok || err != nil {
		return one(levelProblem, "lock files", "keep the database on a local file system", "files in %s cannot be locked: %v", folder, err)
	}
	if again, _ := tryLock(other); again {
		return one(levelProblem, "lock files", "keep the database on a local file system", "locks in %s do not exclude each other", folder)
	}
	files, err := filepath.Glob(filepath.Join(folder, "process-*.lock"))
	if err != nil {
		return nil, err
	}
	return one(levelOK, "lock files", "", "%s, %d processes", folder, len(files))
}

func (s *Store) lookWriter(ctx context.Context) ([]bellhop.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	began := time.Now()
	err := s.Put(ctx, []bellhop.RecordWrite{{Space: "bellhop.doctor", Key: "write", Expect: bellhop.ExpectAny, TTL: time.Minute}})
	took := time.Since(began).Round(10 * time.Microsecond)
	switch {
	case err != nil:
		return one(levelProblem, "writing", "look for a program that holds a writing transaction open, and at the disk", "a write failed after %v: %v", took, err)
	case took > time.Second:
		return one(levelWarning, "writing", "look for a program that holds writing transactions open long, and at the disk", "a write took %v", took)
	}
	return one(levelOK, "writing", "", "a write took %v", took)
}

func (s *Store) lookProcesses(ctx context.Context) (findings []bellhop.Finding, err error) {
	all, err := s.Processes(ctx)
	if err != nil {
		return nil, err
	}
	var orphans int
	err = s.reader.QueryRowContext(ctx, `select count(*) from bellhop_running r
		where not exists (select 1 from bellhop_processes p where p.id = r.process and p.gone_at is null)`).Scan(&orphans)
	if err != nil {
		return nil, err
	}
	if orphans > 0 {
		findings, _ = one(levelWarning, "orphans", "start a worker: it takes them back", "%d running jobs have no living process", orphans)
	}
	now := s.settings.clock.Now()
	for _, p := range all {
		if silent := now.Sub(p.BeatAt); silent > time.Minute {
			more, _ := one(levelWarning, "process "+p.Name, "look whether it is frozen; its jobs are taken back by the next sweep", "it has been silent for %v", silent.Round(time.Second))
			findings = append(findings, more...)
		}
	}
	more, _ := one(levelOK, "processes", "", "%d alive", len(all))
	return append(findings, more...), nil
}

// longBlocked is for how long a job may be blocked without being remarkable.
const longBlocked = 24 * time.Hour

func (s *Store) lookBlocked(ctx context.Context) ([]bellhop.Finding, error) {
	var n int
	err := s.reader.QueryRowContext(ctx, `select count(*) from (select 1 from bellhop_blocked where due < ? limit 10000)`,
		s.settings.clock.Now().Add(-longBlocked).UnixMicro()).Scan(&n)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return one(levelWarning, "blocked jobs", "look at what they wait for", "%d have been blocked for more than a day", n)
	}
	return one(levelOK, "blocked jobs", "", "none for long")
}

// bytes prints a size for people.
func bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}
