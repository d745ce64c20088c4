package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gobellhop/bellhop"
)

// goneFor is how long a process that was swept or left is remembered, so that
// it cannot come back.
const goneFor = 24 * time.Hour

// listedFor is the least age of exchanges that a beat looks after: most are
// unlisted by then, as their last claims have ended. See [ClaimLister].
const listedFor = 3 * time.Second

const processColumns = `id, name, host, pid, version, started_at, queues, kinds, slots, busy, beat_at, beats, lease`

// deserted is the condition on {running} that its process does not live. As a number it cannot become a join, which might come last.
const deserted = `(select count(*) from bellhop_processes o where o.id = {process} and o.gone_at is null) = 0`

var (
	processState = define("process state", `select beats, gone_at from bellhop_processes where id = ? {keep}`)
	addProcess   = define("add process", `insert into bellhop_processes (`+processColumns+`) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?) on conflict do nothing`)
	renewProcess = define("renew process", `update bellhop_processes set
		name = ?, host = ?, pid = ?, version = ?, started_at = ?, queues = ?, kinds = ?, slots = ?, busy = ?, beat_at = ?, beats = beats + 1, lease = ?
		where id = ? and gone_at is null`)
	holdProcessAlone = define("hold process alone", `select id from bellhop_processes where id = ? {lock}`)
	leaveProcess     = define("process leaves", `update bellhop_processes set gone_at = ? where id = ? and gone_at is null`)
	removeProcess    = define("remove process", `update bellhop_processes set gone_at = ? where id = ? and gone_at is null and beats = ?`)
	forgetProcesses  = define("forget processes", `delete from bellhop_processes where gone_at < ?`)
	liveProcesses    = define("live processes", `select `+processColumns+` from bellhop_processes where gone_at is null order by started_at, id`)
	claimsOf         = define("claims of process", `select `+jobColumns+`, `+placeRunning.columns+`
		from {running jobs} where {process} = ? order by p.job`)
	orphans = define("orphans", `select `+jobColumns+`, `+placeRunning.columns+`
		from {running jobs} where `+deserted+`
		order by p.claimed_at, j.id {limit}`)
	runningByProcess = define("running by process", `select {process}, count(*) from {running} group by {process}`)
	reportRunning    = define("report", `update bellhop_running set started = case when ? = 1 then 1 else started end, progress = coalesce(?, progress)
		where job = ? and claim = ? and exchange = ?`)
)

// Report implements [bellhop.Store].
func (s *Store) Report(ctx context.Context, reports []bellhop.Report) (refused []bellhop.Refusal, err error) {
	if refused, err = s.report(ctx, reports, len(reports) == 1); !errors.Is(err, bellhop.ErrLocked) {
		return refused, err
	}
	// A transaction of a user holds one of the claims, for longer than anybody
	// should be kept waiting: each goes alone, and those that are held are left.
	var left error
	for i := range reports {
		one, err := s.report(ctx, reports[i:i+1], false)
		switch {
		case errors.Is(err, bellhop.ErrLocked):
			left = fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err)
		case err != nil:
			return nil, err
		}
		for _, r := range one {
			refused = append(refused, bellhop.Refusal{Index: i, Err: r.Err, Recorded: r.Recorded})
		}
	}
	if left != nil {
		return nil, left
	}
	return refused, nil
}

// report is Report in one transaction. Unless it is patient it fails with
// [bellhop.ErrLocked] rather than wait long for another one.
func (s *Store) report(ctx context.Context, reports []bellhop.Report, patient bool) (refused []bellhop.Refusal, err error) {
	err = s.write(ctx, bellhop.OpReport, func(ctx context.Context, t *txn) (err error) {
		if !patient {
			defer func() { err = s.impatient(err) }()
		}
		refused = nil
		for i := range reports {
			r := &reports[i]
			var job, keyed num
			if err := t.Query(ctx, refByID, func(row Row) error { return row.Scan(&job, &keyed) }, r.Token.JobID[:]); err != nil {
				return err
			}
			n, err := t.Exec(ctx, reportRunning, bit(r.Started), noBytes(r.Progress), int64(job), r.Token.Number, r.Token.Exchange[:])
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
			recorded, err := t.recorded(ctx, &r.Token)
			if err != nil {
				return err
			}
			refused = append(refused, bellhop.Refusal{Index: i, Err: bellhop.ErrStale, Recorded: recorded})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

// Beat implements [bellhop.Store].
func (s *Store) Beat(ctx context.Context, b *bellhop.Beat) (reply *bellhop.BeatReply, err error) {
	id := b.Process.ID
	gone := false
	var last *txn
	err = s.write(ctx, bellhop.OpBeat, func(ctx context.Context, t *txn) (err error) {
		reply, last = &bellhop.BeatReply{Now: at(t.now)}, t
		if gone, err = t.beat(ctx, b); err != nil || gone {
			return err
		}
		if reply.Cancel, err = t.cancelled(ctx, id); err != nil {
			return err
		}
		if err := t.compare(ctx, b, reply); err != nil || !s.IdleBeats || b.Leave || len(b.Held)+len(reply.Extra) > 0 {
			return err
		}
		reply.Idle, reply.NextDue, err = t.idle(ctx, &b.Process)
		return err
	})
	if err == nil && (gone || b.Leave) && s.Presence != nil {
		s.Presence.Leave(id)
	}
	if err != nil {
		return nil, err
	}
	if gone {
		return nil, fmt.Errorf("%s: process %v: %w", s.label(bellhop.OpBeat), id, bellhop.ErrProcessGone)
	}
	reply.Extra = s.sound(ctx, reply.Extra, last.damaged)
	return reply, nil
}

// beat renews a process's lease, or ends it.
func (t *txn) beat(ctx context.Context, b *bellhop.Beat) (gone bool, err error) {
	p := &b.Process
	if b.Leave {
		err := t.holdAlone(ctx, p.ID)
		if err == nil {
			_, err = t.Exec(ctx, leaveProcess, t.now, p.ID[:])
		}
		return false, err
	}
	var known bool
	var beats int64
	var goneAt *int64
	err = t.Query(ctx, processState, func(r Row) error {
		known = true
		return r.Scan(&beats, &goneAt)
	}, p.ID[:])
	if err != nil || goneAt != nil {
		return goneAt != nil, err
	}
	if presence := t.store.Presence; presence != nil {
		if err := presence.Enter(p.ID); err != nil {
			return false, fmt.Errorf("%w: %w", bellhop.ErrUnavailable, err)
		}
	}
	row := []any{
		p.Name, p.Host, int64(p.PID), p.Version, moment(p.StartedAt), encode(p.Queues, len(p.Queues) == 0), encode(p.Kinds, len(p.Kinds) == 0),
		int64(p.Slots), int64(p.Busy), t.now,
	}
	var n int64
	if known {
		n, err = t.Exec(ctx, renewProcess, append(row, wait(b.Lease), p.ID[:])...)
	} else {
		n, err = t.Exec(ctx, addProcess, append(append([]any{p.ID[:]}, row...), wait(b.Lease))...)
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("process %v has just been registered or swept: %w", p.ID, ErrAgain)
	}
	if clock := t.store.Clock; clock != nil {
		t.after = append(t.after, func() { t.store.watch.saw(p.ID, beats+1, clock.Now()) })
	}
	return false, err
}

// compare tells where the process's claims and the store's differ.
func (t *txn) compare(ctx context.Context, b *bellhop.Beat, reply *bellhop.BeatReply) error {
	named := make(map[bellhop.Token]bool, len(b.Held))
	for _, token := range b.Held {
		named[token] = false
	}
	lister, lists := t.store.Dialect.(ClaimLister)
	var listed []bellhop.ID
	if lists {
		before := t.now - wait(listedFor)
		if b.Leave { // no exchange of it is under way any more
			before = math.MaxInt64
		}
		var err error
		if listed, err = lister.Listed(ctx, t, b.Process.ID, before); err != nil {
			return err
		}
	}
	held := map[bellhop.ID]bool{}
	row := newRow()
	err := t.Query(ctx, claimsOf, func(r Row) error {
		if err := r.Scan(row.all()...); err != nil {
			return err
		}
		token := bellhop.Token{JobID: bellhop.ID(row.id), Number: int64(row.claim), Exchange: bellhop.ID(row.exchange)}
		held[token.Exchange] = true
		if _, ok := named[token]; ok {
			named[token] = true
			return nil
		}
		c, damage := row.newClaim()
		t.doubt(c, damage)
		reply.Extra = append(reply.Extra, c)
		return nil
	}, b.Process.ID[:])
	if err != nil {
		return err
	}
	for _, token := range b.Held {
		if !named[token] {
			reply.Lost = append(reply.Lost, token)
		}
	}
	if spent := slices.DeleteFunc(listed, func(id bellhop.ID) bool { return held[id] }); len(spent) > 0 {
		return lister.Unlist(ctx, t, spent)
	}
	return nil
}

// status is a process's row.
type status struct {
	bellhop.ProcessStatus
	beats int64
	lease time.Duration
}

func (t *txn) processes(ctx context.Context) (all []status, err error) {
	err = t.Query(ctx, liveProcesses, func(r Row) error {
		var id uid
		var name, host, version, queues, kinds text
		var pid, started, slots, busy, beatAt, beats, lease num
		if err := r.Scan(&id, &name, &host, &pid, &version, &started, &queues, &kinds, &slots, &busy, &beatAt, &beats, &lease); err != nil {
			return err
		}
		p := status{beats: int64(beats), lease: time.Duration(lease) * time.Microsecond}
		p.Process = bellhop.Process{
			ID: bellhop.ID(id), Name: string(name), Host: string(host), PID: int(pid), Version: string(version),
			StartedAt: started.time(), Slots: int(slots), Busy: int(busy),
		}
		p.BeatAt = beatAt.time()
		if err := queues.decode(&p.Queues); err != nil {
			return err
		}
		err := kinds.decode(&p.Kinds)
		all = append(all, p)
		return err
	})
	return all, err
}

// Processes implements [bellhop.Store].
func (s *Store) Processes(ctx context.Context) (list []bellhop.ProcessStatus, err error) {
	err = s.read(ctx, bellhop.OpProcesses, func(ctx context.Context, t *txn) error {
		list = []bellhop.ProcessStatus{}
		all, err := t.processes(ctx)
		if err != nil {
			return err
		}
		running := map[bellhop.ID]int{}
		err = t.Query(ctx, runningByProcess, func(r Row) error {
			var id uid
			var n num
			err := r.Scan(&id, &n)
			running[bellhop.ID(id)] = int(n)
			return err
		})
		for _, p := range all {
			p.Running = running[p.ID]
			list = append(list, p.ProcessStatus)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Sweep implements [bellhop.Store].
func (s *Store) Sweep(ctx context.Context, limit int) (claims []bellhop.Claim, err error) {
	var dead []status
	var damaged []bellhop.Claim
	err = s.read(ctx, bellhop.OpSweep, func(ctx context.Context, t *txn) error {
		all, err := t.processes(ctx)
		dead = s.over(all, t.now)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(dead) > 0 {
		err = s.write(ctx, bellhop.OpSweep, func(ctx context.Context, t *txn) error {
			for i := range dead {
				if err := t.holdAlone(ctx, dead[i].ID); err != nil {
					return err
				}
			}
			return t.Each(ctx, removeProcess, len(dead), func(i int, row []any) []any {
				return append(row, t.now, dead[i].ID[:], dead[i].beats)
			}, nil)
		})
		if err != nil {
			return nil, err
		}
		for _, p := range dead {
			if s.Presence != nil {
				s.Presence.Leave(p.ID)
			}
		}
	}
	err = s.read(ctx, bellhop.OpSweep, func(ctx context.Context, t *txn) error {
		claims, damaged = nil, nil
		row := newRow()
		return t.Query(ctx, orphans, func(r Row) error {
			if err := r.Scan(row.all()...); err != nil {
				return err
			}
			c, damage := row.newClaim()
			t.doubt(c, damage)
			damaged = t.damaged
			claims = append(claims, c)
			return nil
		}, max(limit, 0))
	})
	if err != nil {
		return nil, err
	}
	return s.sound(ctx, claims, damaged), nil
}

// Watch notes which processes there are, so that a look at them later has
// something to compare with.
func (s *Store) Watch(ctx context.Context) error {
	return s.read(ctx, bellhop.OpSweep, func(ctx context.Context, t *txn) error {
		all, err := t.processes(ctx)
		s.over(all, t.now)
		return err
	})
}

// over returns the processes whose lease is over, or that are known to be dead.
func (s *Store) over(all []status, now int64) (dead []status) {
	if s.Clock != nil {
		return s.watch.over(all, s.Clock.Now(), s.Presence)
	}
	for _, p := range all {
		if at(now).Sub(p.BeatAt) >= p.lease {
			dead = append(dead, p)
		}
	}
	return dead
}

// holdAlone waits for the exchanges of a process that are under way, and lets
// none begin until the transaction ends.
func (t *txn) holdAlone(ctx context.Context, process bellhop.ID) error {
	if !t.store.Shared {
		return nil
	}
	return t.Query(ctx, holdProcessAlone, func(r Row) error { return r.Scan(new(uid)) }, process[:])
}

// watch tells frozen processes from living ones: a process whose beats were
// last seen to grow longer ago than its lease. It measures with the store's
// clock between two looks of its own, so that a jump of the wall clock, or a
// machine that slept, does not make everybody look dead.
type watch struct {
	mu   sync.Mutex
	seen map[bellhop.ID]sighting
}

type sighting struct {
	beats int64
	at    time.Time
}

// saw notes a beat that came through this store.
func (w *watch) saw(id bellhop.ID, beats int64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[bellhop.ID]sighting{}
	}
	w.seen[id] = sighting{beats, now}
}

// over returns the processes whose lease is over, or that are known to be dead.
func (w *watch) over(all []status, now time.Time, presence Presence) (dead []status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make(map[bellhop.ID]sighting, len(all))
	for _, p := range all {
		life := Unsure
		if presence != nil {
			life = presence.Look(p.ID)
		}
		s, known := w.seen[p.ID]
		switch {
		case known && s.beats == p.beats:
		case known || life == Alive:
			s = sighting{p.beats, now}
		default: // never seen, and nobody knows better: go by its own clock
			s = sighting{p.beats, p.BeatAt}
		}
		seen[p.ID] = s
		if life == Gone || now.Sub(s.at) >= p.lease {
			dead = append(dead, p)
		}
	}
	w.seen = seen
	return dead
}
