package partition

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/finding"
)

// Levels of findings, the gravest first.
const (
	levelProblem = finding.Problem
	levelWarning = finding.Warning
	levelOK      = finding.OK
)

// maxSkew is how far the clocks of two parts may be apart before a finding says so.
const maxSkew = time.Second

// Diagnose implements [bellhop.Diagnoser]: what the parts find in themselves, each
// with its name before the subject, and what concerns them together.
func (s *Store) Diagnose(ctx context.Context) ([]bellhop.Finding, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	type look struct {
		own   []bellhop.Finding
		clock time.Time
		at    time.Time
		stats []bellhop.QueueStats
	}
	list, err := gather(ctx, s.parts, forEver, func(ctx context.Context, p *part) (l look, err error) {
		before := time.Now()
		if l.clock, err = p.store.Ping(ctx); err != nil {
			return l, err
		}
		l.at = before.Add(time.Since(before) / 2)
		if l.stats, err = p.store.Stats(ctx, 1000); err != nil {
			return l, err
		}
		if d, ok := bellhop.As[bellhop.Diagnoser](p.store); ok {
			l.own, err = d.Diagnose(ctx)
		}
		return l, err
	})
	if err != nil {
		return nil, err
	}
	var findings []bellhop.Finding
	ahead := map[string]time.Duration{}
	stats := map[*part][]bellhop.QueueStats{}
	for _, a := range list {
		findings = append(findings, a.part.named(a.value.own)...)
		if a.err != nil {
			findings = append(findings, bellhop.Finding{
				Level: levelProblem, Subject: a.part.name + ": reach", Detail: a.err.Error(),
				Advice: "the other parts go on; bring it back, and its jobs go on where they were",
			})
			continue
		}
		ahead[a.part.name] = a.value.clock.Sub(a.value.at)
		stats[a.part] = a.value.stats
	}
	findings = append(findings, clocks(ahead)...)
	findings = append(findings, s.pauses(stats)...)
	findings = append(findings, s.misplaced(stats)...)
	finding.GravestFirst(findings)
	return findings, nil
}

// Examine implements [bellhop.Examiner]: what those parts find that can examine themselves.
func (s *Store) Examine(ctx context.Context) ([]bellhop.Finding, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	list, err := gather(ctx, s.parts, forEver, func(ctx context.Context, p *part) ([]bellhop.Finding, error) {
		e, ok := bellhop.As[bellhop.Examiner](p.store)
		if !ok {
			return nil, nil
		}
		return e.Examine(ctx)
	})
	if err != nil {
		return nil, err
	}
	var findings []bellhop.Finding
	for _, a := range list {
		if a.err != nil {
			a.value = append(a.value, bellhop.Finding{
				Level: levelProblem, Subject: "examination", Detail: a.err.Error(), Advice: "try again; the other parts were examined",
			})
		}
		findings = append(findings, a.part.named(a.value)...)
	}
	finding.GravestFirst(findings)
	return findings, nil
}

// named returns what a part has found, with its name before the subject.
func (p *part) named(found []bellhop.Finding) []bellhop.Finding {
	for i := range found {
		found[i].Subject = p.name + ": " + found[i].Subject
	}
	return found
}

// clocks compares the parts' clocks by how far each is ahead of this process's.
func clocks(ahead map[string]time.Duration) []bellhop.Finding {
	if len(ahead) < 2 {
		return nil
	}
	var first, last string
	for name, d := range ahead {
		if first == "" || d > ahead[first] {
			first = name
		}
		if last == "" || d < ahead[last] {
			last = name
		}
	}
	apart := ahead[first] - ahead[last]
	if apart < maxSkew {
		return []bellhop.Finding{{Level: levelOK, Subject: "clocks", Detail: fmt.Sprintf("%d parts agree within %v", len(ahead), maxSkew)}}
	}
	return []bellhop.Finding{{
		Level: levelWarning, Subject: "clocks",
		Detail: fmt.Sprintf("the clock of %s is %v ahead of that of %s", first, apart.Round(time.Millisecond), last),
		Advice: "let their machines follow one time server: due times are judged by the clock of each job's part",
	}}
}

// pauses finds queues that are paused in some parts only, as after a part was added
// or out of reach.
func (s *Store) pauses(stats map[*part][]bellhop.QueueStats) (findings []bellhop.Finding) {
	paused := map[string][]string{}
	for p, queues := range stats {
		for _, q := range queues {
			if q.Paused {
				paused[q.Queue] = append(paused[q.Queue], p.name)
			}
		}
	}
	for queue, in := range paused {
		if len(in) < len(stats) {
			slices.Sort(in)
			findings = append(findings, bellhop.Finding{
				Level: levelWarning, Subject: "queue " + queue, Detail: "it is paused in " + strings.Join(in, ", ") + " and not in the other parts",
				Advice: "pause it again, or resume it: both are done in all parts",
			})
		}
	}
	return findings
}

// misplaced finds queues of which jobs are in a part to which they do not belong.
func (s *Store) misplaced(stats map[*part][]bellhop.QueueStats) (findings []bellhop.Finding) {
	if s.router.by != ByQueue {
		return nil
	}
	for p, queues := range stats {
		for _, q := range queues {
			if live := q.Scheduled + q.Blocked + q.Ready + q.Running; live > 0 && s.router.of(q.Queue) != p.index {
				findings = append(findings, bellhop.Finding{
					Level: levelWarning, Subject: p.name + ": queue " + q.Queue,
					Detail: fmt.Sprintf("%d of its jobs wait here, and it belongs to %s", live, s.parts[s.router.of(q.Queue)].name),
					Advice: "they are worked off here; until then unique keys of the queue hold in each of the two parts by itself",
				})
			}
		}
	}
	return findings
}
