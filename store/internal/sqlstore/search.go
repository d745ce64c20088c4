package sqlstore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

const (
	maxPage     = 1000    // jobs in one page
	maxExamined = 5000    // rows of each place that are looked at for one page, or one count
	maxBytes    = 8 << 20 // bytes of arguments and failures that are read for one page
	firstJudged = 64      // rows that are judged first; after that, as many as are likely to have so many bytes:
	judgedBytes = 1 << 20
)

// A search looks for jobs that match a filter, place by place, at the newest rows
// of each. Conditions on columns are the database's; what is inside arguments and
// failures is judged here, in the same way for all stores, row by row. Where the
// filter names queues of which few jobs are in a place, their index leads to them.
type search struct {
	*txn
	f *bellhop.Filter
	// before and bottom bound the numbers of the jobs: from bottom up to before, exclusive.
	before, bottom int64
	// limit is after how many jobs of one place to stop.
	limit int
	// found are the jobs that match, of each place the newest first.
	found []spot
	// floor is the number down to which the place has been looked at; 0 if to its end.
	floor int64
	// examined is how many rows were looked at, and bytes how many of them were read.
	examined, bytes int
}

// spot is where a job is.
type spot struct {
	place  *place
	number int64
}

// newSearch begins a search before a number.
func (t *txn) newSearch(ctx context.Context, f *bellhop.Filter, before int64, limit int) (*search, error) {
	s := &search{txn: t, f: f, before: before, limit: limit}
	return s, s.span(ctx)
}

// judged reports whether rows are judged here.
func (s *search) judged() bool { return s.f.ByArgs() || s.f.ByFailure() }

// selected returns the places in which a filter's jobs can be.
func selected(f *bellhop.Filter) []*place {
	ended := !f.FinishedAfter.IsZero() || !f.FinishedBefore.IsZero()
	return slices.DeleteFunc(slices.Clone(places), func(p *place) bool {
		return f.States != 0 && f.States&p.states == 0 || !f.Process.IsZero() && p != placeRunning ||
			ended && p != placeFinished && p != placeDead
	})
}

// conditions returns a filter's conditions on a place p and its job j, and their arguments.
func conditions(f *bellhop.Filter, p *place) (where string, args []any) {
	var b strings.Builder
	add := func(condition string, values ...any) {
		b.WriteString(" and " + condition)
		args = append(args, values...)
	}
	states := p.states
	if f.States != 0 {
		states &= f.States
	}
	if f.ByFailure() {
		states &^= bellhop.States(bellhop.StateSucceeded) // its newest attempt has not failed
	}
	if states != p.states {
		var list []string
		for _, s := range states.List() {
			list = append(list, strconv.Itoa(int(s)))
		}
		add("p.state in (" + strings.Join(append(list, "0"), ", ") + ")")
	}
	queue := "j.queue"
	if p.queued {
		queue = "{plain}p.queue"
	}
	if len(f.Queues) > 0 {
		add(queue+" in ({list})", names(f.Queues))
	}
	if len(f.NotQueues) > 0 {
		add(queue+" not in ({list})", names(f.NotQueues))
	}
	if len(f.Kinds) > 0 {
		add("j.kind in ({list})", names(f.Kinds))
	}
	if !f.Process.IsZero() {
		add("p.process = ?", f.Process[:])
	}
	if !f.EnqueuedAfter.IsZero() {
		add("j.enqueued_at >= ?", ceiling(f.EnqueuedAfter))
	}
	if !f.EnqueuedBefore.IsZero() {
		add("j.enqueued_at < ?", ceiling(f.EnqueuedBefore))
	}
	if !f.FinishedAfter.IsZero() {
		add("p.finished_at >= ?", ceiling(f.FinishedAfter))
	}
	if !f.FinishedBefore.IsZero() {
		add("p.finished_at < ?", ceiling(f.FinishedBefore))
	}
	if list := names(f.Tags); len(list) < len(f.Tags) {
		add("1 = 0") // no job has a tag that is no name
	} else {
		for _, tag := range list {
			add("{tag}", tag)
		}
	}
	return b.String(), args
}

// some are rows of a place: those in a range of numbers, or those with the numbers.
type some struct {
	before, least int64
	numbers       []int64
}

func (s some) where() (string, []any) {
	if s.numbers == nil {
		return `p.job < ? and p.job >= ?`, []any{s.before, s.least}
	}
	args := make([]any, biteSize)
	for i := range args {
		args[i] = s.numbers[min(i, len(s.numbers)-1)]
	}
	return `p.job in (` + bite + `)`, args
}

// everywhere searches all places, and returns the number from which on all of them
// have been looked at; 0 if to their end. What was found before it is forgotten.
func (s *search) everywhere(ctx context.Context) (floor int64, err error) {
	for _, p := range selected(s.f) {
		if err := s.place(ctx, p, floor); err != nil {
			return 0, err
		}
		floor = max(floor, s.floor)
	}
	s.found = slices.DeleteFunc(s.found, func(at spot) bool { return at.number < floor })
	return floor, nil
}

// place searches one place, down to floor.
func (s *search) place(ctx context.Context, p *place, floor int64) error {
	floor = max(floor, s.bottom)
	s.floor = 0
	numbers, few, err := s.byQueue(ctx, p)
	if err != nil {
		return err
	}
	if few {
		numbers = slices.DeleteFunc(numbers, func(n int64) bool { return n >= s.before || n < floor })
		slices.Sort(numbers)
		slices.Reverse(numbers)
		left := s.limit
		for bite := range slices.Chunk(numbers, biteSize) {
			s.examined += len(bite)
			n, full, err := s.look(ctx, p, some{numbers: bite}, left)
			if err != nil || full {
				return err
			}
			left -= n
		}
		return nil
	}
	least, rows := floor, 0
	if where, _ := conditions(s.f, p); where != "" || s.judged() {
		if least, rows, err = s.newest(ctx, p, floor); err != nil || rows == 0 {
			return err
		}
		s.examined += rows
	}
	_, full, err := s.look(ctx, p, some{before: s.before, least: least}, s.limit)
	if err == nil && !full && rows == maxExamined {
		s.floor = least
	}
	return err
}

// newest returns how many rows a place has from floor on, as far as a window
// goes, and the number of the last.
func (s *search) newest(ctx context.Context, p *place, floor int64) (least int64, rows int, err error) {
	var first, n num
	window := compose("window of "+p.name, `select min(job), count(*) from (
		select job from `+p.table+` where job < ? and job >= ? order by job desc {limit}) w`)
	err = s.Query(ctx, window, func(r Row) error { return r.Scan(&first, &n) }, s.before, floor, maxExamined)
	return int64(first), int(n), err
}

// byQueue returns the numbers of all jobs of the filter's queues in a place, if they are few.
func (s *search) byQueue(ctx context.Context, p *place) (numbers []int64, few bool, err error) {
	if len(s.f.Queues) == 0 || !p.indexed {
		return nil, false, nil
	}
	st := compose("of queue in "+p.name, `select job from `+p.table+` where queue = ? {limit}`)
	for _, queue := range uniqueTexts(names(s.f.Queues)) {
		err := s.Query(ctx, st, func(r Row) error {
			var n num
			err := r.Scan(&n)
			numbers = append(numbers, int64(n))
			return err
		}, queue, maxExamined+1-len(numbers))
		if err != nil || len(numbers) > maxExamined {
			return nil, false, err
		}
	}
	return numbers, true, nil
}

// look keeps the rows that match, and says how many, and whether the
// search of the place is over because they are more than limit, or too large to go on.
func (s *search) look(ctx context.Context, p *place, rows some, limit int) (n int, full bool, err error) {
	if s.judged() {
		return s.judge(ctx, p, rows, limit)
	}
	where, args := conditions(s.f, p)
	from := p.table + ` p`
	if strings.Contains(where, "j.") || strings.Contains(where, "{tag}") {
		from += ` cross join bellhop_jobs j`
		where += ` and j.job = p.job`
	}
	which, first := rows.where()
	st := compose("search "+p.name, `select p.job from `+from+` where `+which+where+` order by p.job desc {limit}`)
	var numbers []int64
	err = s.Query(ctx, st, func(r Row) error {
		var n num
		err := r.Scan(&n)
		numbers = append(numbers, int64(n))
		return err
	}, append(append(first, args...), limit+1)...)
	if err != nil {
		return 0, false, err
	}
	n, full = s.keep(p, numbers, limit)
	return n, full, nil
}

// keep adds what was found; one more than the limit says that there is more.
func (s *search) keep(p *place, numbers []int64, limit int) (n int, full bool) {
	full = len(numbers) > limit
	for _, number := range numbers[:min(limit, len(numbers))] {
		s.found = append(s.found, spot{p, number})
	}
	if full {
		s.floor = s.before
		if len(s.found) > 0 && s.found[len(s.found)-1].place == p {
			s.floor = s.found[len(s.found)-1].number
		}
	}
	return min(limit, len(numbers)), full
}

// judge is look for conditions that are judged here.
func (s *search) judge(ctx context.Context, p *place, rows some, limit int) (n int, full bool, err error) {
	where, args := conditions(s.f, p)
	columns, join := `p.job, j.kind, j.args, null`, ``
	if s.f.ByFailure() {
		columns = `p.job, j.kind, j.args, a.failure`
		join, where = ` cross join bellhop_attempts a`, where+` and `+lastOf(p)+` and a.failure is not null`
	}
	if !s.f.ByArgs() {
		columns = strings.Replace(columns, "j.args", "null", 1)
	}
	from, atOnce := s.bytes, firstJudged
	seen := 0
	var numbers []int64
	for {
		which, first := rows.where()
		st := compose("judge "+p.name, `select `+columns+` from `+p.table+` p cross join bellhop_jobs j`+join+`
			where `+which+` and j.job = p.job`+where+` order by p.job desc {limit}`)
		last, n := int64(0), 0
		err := s.Query(ctx, st, func(r Row) error {
			number, fits, err := s.verdict(r)
			if fits {
				numbers = append(numbers, number)
			}
			last, n = number, n+1
			return err
		}, append(append(first, args...), atOnce)...)
		if err != nil {
			return 0, false, err
		}
		through := n < atOnce || rows.numbers != nil
		if through && rows.numbers != nil {
			last = rows.numbers[len(rows.numbers)-1]
		}
		if seen += n; len(numbers) > limit || through && (rows.numbers == nil || s.bytes < maxBytes) {
			n, full := s.keep(p, numbers, limit)
			return n, full, nil
		}
		if s.bytes >= maxBytes {
			n, _ := s.keep(p, numbers, limit)
			s.floor = last
			return n, true, nil
		}
		rows.before = last
		atOnce = min(max(judgedBytes/max((s.bytes-from)/seen, 1), firstJudged), maxPage)
	}
}

// verdict reads a row for judge.
func (s *search) verdict(r Row) (number int64, fits bool, err error) {
	var n num
	var kind, failure text
	var args blob
	if err := r.Scan(&n, &kind, &args, &failure); err != nil {
		return 0, false, err
	}
	s.bytes += len(args) + len(failure)
	last := bellhop.Attempt{Failure: readFailure(failure)}
	inner := bellhop.Filter{Text: s.f.Text, Args: s.f.Args, Error: s.f.Error, Fingerprint: s.f.Fingerprint, Seen: s.f.Seen}
	return int64(n), inner.Matches(&bellhop.Job{Kind: string(kind), Args: args}, &bellhop.Place{}, &last), nil
}

// names returns those of the texts that something can be called by: what a database
// does not take as text, or what would end the text in a list of names, is none.
func names(list []string) Texts {
	return slices.DeleteFunc(slices.Clone(list), func(name string) bool {
		return !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\"\\")
	})
}

// uniqueTexts returns the texts sorted, each once.
func uniqueTexts(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
