package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/finding"
)

// Levels of findings, the gravest first.
const (
	levelProblem = finding.Problem
	levelWarning = finding.Warning
	levelOK      = finding.OK
)

// Diagnose implements [bellhop.Diagnoser].
func (s *Store) Diagnose(ctx context.Context) (all []bellhop.Finding, err error) {
	err = s.verb(ctx, bellhop.OpPing, func() error {
		server, err := s.examine(ctx)
		if err != nil {
			return err
		}
		all = slices.Concat(server.lookServer(), server.lookEviction(), server.lookMemory(), server.lookDurability())
		for _, look := range []func(context.Context) ([]bellhop.Finding, error){s.lookLayout, s.lookKeys} {
			findings, err := look(ctx)
			if err != nil {
				return err
			}
			all = append(all, findings...)
		}
		return nil
	})
	if err != nil {
		return all, err
	}
	all = append(all, s.lookWriting(ctx)...)
	if !slices.ContainsFunc(all, func(f bellhop.Finding) bool { return f.Subject == "layout" && f.Level == levelProblem }) {
		processes, err := s.lookProcesses(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, processes...)
	}
	finding.GravestFirst(all)
	return all, nil
}

func one(level, subject, advice, format string, args ...any) []bellhop.Finding {
	return []bellhop.Finding{{Level: level, Subject: subject, Detail: fmt.Sprintf(format, args...), Advice: advice}}
}

func (v *server) lookServer() []bellhop.Finding {
	if v.role != "master" {
		return one(levelProblem, "server", "connect to the master, or use redis+sentinel://", "%s %s is a %s: it takes no writes", v.name, v.version, v.role)
	}
	return one(levelOK, "server", "", "%s %s, a master", v.name, v.version)
}

func (v *server) lookEviction() []bellhop.Finding {
	switch {
	case v.evicts():
		return one(levelProblem, "eviction", "run `CONFIG SET maxmemory-policy noeviction`, and write it into the configuration",
			"maxmemory-policy is %s: the server may delete jobs when its memory is full", v.policy)
	case v.policy != "" && v.policy != "noeviction":
		return one(levelOK, "eviction", "", "maxmemory-policy is %s, which spares keys that do not expire, as jobs do not", v.policy)
	}
	return one(levelOK, "eviction", "", "maxmemory-policy is noeviction")
}

func (v *server) lookMemory() []bellhop.Finding {
	switch {
	case v.limit == 0:
		return one(levelWarning, "memory", "set maxmemory, so that a full server refuses jobs instead of being killed", "%s used, without a limit", size(v.used))
	case v.used > v.limit:
		return one(levelProblem, "memory", "raise maxmemory, or keep fewer finished jobs", "%s used of %s: nothing more is enqueued", size(v.used), size(v.limit))
	case v.used > v.limit/10*8:
		return one(levelWarning, "memory", "raise maxmemory, or keep fewer finished jobs", "%s used of %s", size(v.used), size(v.limit))
	}
	return one(levelOK, "memory", "", "%s used of %s", size(v.used), size(v.limit))
}

func (v *server) lookDurability() (all []bellhop.Finding) {
	if v.aof && v.aofBroken {
		all = one(levelProblem, "append-only file", "look at the server's disk and its log", "the last write to it failed")
	}
	if v.saveBroken {
		all = append(all, one(levelWarning, "snapshots", "look at the server's disk and its log", "the last one failed")...)
	}
	if !v.aof {
		return append(all, one(levelWarning, "durability", "run `CONFIG SET appendonly yes`, and write it into the configuration, if no accepted job may be lost", "%s", v.durability())...)
	}
	return append(all, one(levelOK, "durability", "", "%s", v.durability())...)
}

func (s *Store) lookLayout(ctx context.Context) ([]bellhop.Finding, error) {
	have, err := s.client.Get(ctx, s.keys.base+"layout").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	if err := checkLayout(have); err != nil {
		return one(levelProblem, "layout", "use the program that made it", "%v", err), nil
	}
	return one(levelOK, "layout", "", "version %s in the namespace %s", have, s.settings.namespace), nil
}

// manyKeys is how many keys of the server are looked through for some that are not ours, and someKeys how many in one run of a script, for
// the whole server waits meanwhile.
const manyKeys, someKeys = 20_000, 4000

// lookKeys looks for keys in the namespace that are of another type, or not ours.
func (s *Store) lookKeys(ctx context.Context) ([]bellhop.Finding, error) {
	var wrong []string
	seen, cursor := 0, "0"
	for looked := 0; looked < manyKeys; looked += someKeys {
		in := items{}
		in.text(cursor)
		in.number(someKeys)
		for begin, kind := range types {
			in.text(begin)
			in.text(kind)
		}
		reply, err := s.run(ctx, bellhop.OpPing, scriptKeys, in)
		if err != nil {
			return nil, err
		}
		r, err := row(reply, 2)
		if err != nil {
			return nil, err
		}
		for pair := range slices.Chunk(r[2:], 2) {
			wrong = append(wrong, fmt.Sprintf("%q is a %s", bellhop.CleanText(text(pair[0]), 64), text(pair[1])))
		}
		seen += int(integer(r[1]))
		if cursor = text(r[0]); cursor == "0" {
			break
		}
	}
	switch {
	case len(wrong) > 0:
		slices.Sort(wrong)
		return one(levelProblem, "keys", "find the program that wrote them; rename or delete them, or use another namespace",
			"%d keys that begin with %q are not ours: %s", len(wrong), s.keys.base, strings.Join(wrong[:min(3, len(wrong))], ", ")), nil
	case cursor != "0":
		return one(levelOK, "keys", "", "the %d that were looked at of those that begin with %q are ours", seen, s.keys.base), nil
	}
	return one(levelOK, "keys", "", "all %d that begin with %q are ours", seen, s.keys.base), nil
}

func (s *Store) lookWriting(ctx context.Context) []bellhop.Finding {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	began := time.Now()
	err := s.Put(ctx, []bellhop.RecordWrite{{Space: "bellhop.doctor", Key: "write", Expect: bellhop.ExpectAny, TTL: time.Minute}})
	took := time.Since(began).Round(10 * time.Microsecond)
	switch {
	case err != nil:
		return one(levelProblem, "writing", "look at the server's log, its memory and its disk", "a write failed after %v: %v", took, err)
	case took > 100*time.Millisecond:
		return one(levelWarning, "writing", "look for slow commands (SLOWLOG GET) and at the network", "a write took %v", took)
	}
	return one(levelOK, "writing", "", "a write took %v", took)
}

func (s *Store) lookProcesses(ctx context.Context) (findings []bellhop.Finding, err error) {
	now, err := s.Ping(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.Processes(ctx)
	if err != nil {
		return nil, err
	}
	held := 0
	for _, p := range all {
		held += p.Running
		if silent := now.Sub(p.BeatAt); silent > time.Minute {
			findings = append(findings, one(levelWarning, "process "+p.Name, "look whether it is frozen; its jobs are taken back by the next sweep",
				"it has been silent for %v", silent.Round(time.Second))...)
		}
	}
	running, err := s.Count(ctx, &bellhop.Query{Filter: bellhop.Filter{States: bellhop.States(bellhop.StateRunning)}, Limit: 1_000_000})
	if err != nil {
		return nil, err
	}
	if running.Count > held {
		findings = append(findings, one(levelWarning, "orphans", "start a worker: it takes them back", "%d running jobs have no living process", running.Count-held)...)
	}
	return append(findings, one(levelOK, "processes", "", "%d alive", len(all))...), nil
}

// size prints a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}
