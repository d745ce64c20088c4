package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/loop"
)

// lane is the way into one part of the store; most stores have but one part. A lane moves the rows that belong to its part, and
// what is wrong with a part holds up no other. Lanes belong to the relay's loop.
type lane struct {
	*Relay
	part    int
	key     string        // of the cursor
	settled cursor        // whose batch is surely gone from the table
	gone    batch         // the last batch of this lane, which is too
	taken   int64         // jobs that the store has taken
	target  *loop.Trouble // of this part

	// Deleted rows slow down a scan until the database has cleaned them up, which an old snapshot prevents. So a look begins
	// behind the last row that was seen; what appears before it, by a transaction that committed late, is found by sweeps
	// over the whole table, which take a twentieth of the time at most.
	low       int64
	sweeping  time.Duration // spent in looks of the sweep under way; negative if none is
	nextSweep time.Time

	bite   int // rows to move together; fewer while one that the store refuses is being looked for
	doubts map[int64]*doubt

	failures, beaten int   // in a row
	err              error // of the last step
	notBefore        time.Time
}

// doubt is a row that the store did not take when it was alone, without saying that it never will.
type doubt struct {
	tries int
	taken int64 // jobs taken by then
	next  time.Time
	err   error // of the last try
}

const (
	// maxDoubts is with how many rows in doubt the relay takes the store for the culprit.
	maxDoubts = 10
	// batchBytes is how many bytes of arguments go together, unless one job has more.
	batchBytes = 4 << 20
	// storeTimeout bounds each call to the store.
	storeTimeout = 30 * time.Second
	// dropTimeout is for moved rows that are deleted, and refused ones that are set aside, when the relay is to stop.
	dropTimeout = 5 * time.Second
)

var errBeaten = errors.New("another relay has moved meanwhile")

// databaseError says that it was the user's database that failed, and not the store.
type databaseError struct{ err error }

func (e *databaseError) Error() string { return e.err.Error() }
func (e *databaseError) Unwrap() error { return e.err }

func ofDatabase(err error) error {
	if err == nil {
		return nil
	}
	return &databaseError{err}
}

// step moves one batch. It reports whether there was anything to look at.
//
// The order matters: first the cursor is read, then the rows. A row that is there after the cursor was read and does not belong to
// the cursor's batch was not moved before, and the store takes it only if the cursor has not changed since.
func (l *lane) step(ctx context.Context) (found bool, err error) {
	first, last, limit, err := l.choose(ctx)
	if err != nil || limit == 0 {
		return false, err
	}
	c, err := l.settle(ctx)
	if err != nil {
		return false, err
	}
	list, identity, err := l.rows.load(ctx, first, last, limit)
	switch {
	case err != nil:
		return false, ofDatabase(err)
	case len(list) == 0: // moved or deleted by somebody else
		delete(l.doubts, first)
		return true, nil
	case identity != l.identity: // the table was emptied or replaced
		l.identity = ""
		return true, nil
	}
	if list, err = l.decode(ctx, list, first == last); err != nil {
		return true, ofDatabase(err)
	}
	taken := true // none of them was this lane's
	if len(list) > 0 {
		taken, err = l.move(ctx, c, list)
	}
	if taken {
		l.low = max(l.low, last)
	}
	return true, err
}

// choose looks which rows are next: those between two numbers, at most limit; 0 if there are none. A row in doubt whose time has
// come goes alone.
func (l *lane) choose(ctx context.Context) (first, last int64, limit int, err error) {
	began := time.Now()
	for seq, d := range l.doubts {
		if !d.next.After(began) {
			return seq, seq, 1, nil
		}
	}
	start := l.sweeping < 0 && !l.nextSweep.After(began)
	if start {
		l.sweeping, l.low = 0, 0
	}
	list, age, err := l.rows.look(ctx, l.low, l.bite+len(l.doubts))
	if err != nil {
		return 0, 0, 0, ofDatabase(err)
	}
	l.saw(age, start, began)
	if l.sweeping >= 0 {
		if l.sweeping += time.Since(began); len(list) < l.bite+len(l.doubts) { // to the end
			l.nextSweep = time.Now().Add(min(max(20*l.sweeping, 50*time.Millisecond), 10*time.Second))
			l.sweeping = -1
		}
	}
	size := int64(0)
	for _, s := range list {
		if l.doubts[s.seq] != nil {
			if limit > 0 { // it would lie between the others
				break
			}
			continue
		}
		if size += s.size; limit > 0 && (size > batchBytes || limit == l.bite) {
			break
		}
		if limit == 0 {
			first = s.seq
		}
		last = s.seq
		limit++
	}
	return first, last, limit, nil
}

// saw keeps how long the first row has waited. Only a look from the beginning tells of a shorter time.
func (l *lane) saw(age time.Duration, start bool, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if start || age > l.stats.Lag {
		l.stats.Lag = age
	}
	l.stats.LookedAt = at
}

// settle reads the cursor, and sees to it that the rows of its batch are gone.
func (l *lane) settle(ctx context.Context) (cursor, error) {
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	c, err := readCursor(limited, l.store, l.key)
	if err != nil {
		return c, err
	}
	// The version alone would not do: a store that has lost its last moments may give one a second time.
	if c.version == l.settled.version && c.last.same(&l.settled.last) || c.last.same(&l.gone) {
		l.settled = c
		return c, nil
	}
	seqs, err := l.rows.matching(ctx, c.last.numbers())
	if err == nil {
		err = l.rows.drop(ctx, seqs, l.config.Keep > 0)
	}
	if err != nil {
		return c, ofDatabase(err)
	}
	l.settled = c
	l.mu.Lock()
	l.stats.Settled += int64(len(seqs))
	l.mu.Unlock()
	return c, nil
}

// decode makes the jobs of rows, and sets aside those that cannot be read. What is left of a delay counts from the store's clock,
// so that the two clocks need not agree.
func (l *lane) decode(ctx context.Context, list []row, alone bool) ([]row, error) {
	good := list[:0]
	for _, one := range list {
		if !alone && l.doubts[one.seq] != nil { // a late one slipped in
			continue
		}
		var err error
		if one.job, err = decode(one.id, one.format, one.text, one.args); err != nil {
			if err := l.setAside(ctx, &one, err); err != nil {
				return nil, err
			}
			continue
		}
		if l.router != nil && l.router.Route(one.job) != l.part {
			continue
		}
		one.job.Delay = max(0, one.job.Delay-one.age)
		good = append(good, one)
	}
	return good, nil
}

// move gives a batch to the store and deletes its rows. It reports whether the store has taken it.
func (l *lane) move(ctx context.Context, c cursor, list []row) (taken bool, err error) {
	b := batchOf(list, l.config.Name)
	put, err := c.advance(l.key, b)
	if err != nil {
		return false, err
	}
	request := &bellhop.EnqueueRequest{Puts: []bellhop.RecordWrite{put}}
	for i := range list {
		request.Jobs = append(request.Jobs, list[i].job)
	}
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	receipts, err := l.store.Enqueue(limited, request)
	cancel()
	if err != nil {
		return false, l.refused(ctx, list, err)
	}
	existing := int64(0)
	for _, receipt := range receipts {
		if receipt.Existing {
			existing++
		}
	}
	l.taken += int64(len(list))
	l.target.Over()
	l.mu.Lock()
	l.stats.Moved += int64(len(list))
	l.stats.Existing += existing
	l.mu.Unlock()
	l.bite = min(4*l.bite, l.config.Batch)
	seqs := make([]int64, len(list))
	for i := range list {
		seqs[i] = list[i].seq
		delete(l.doubts, seqs[i])
	}
	dropping, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := l.rows.drop(dropping, seqs, l.config.Keep > 0); err != nil {
		return true, ofDatabase(err)
	}
	l.gone = b
	return true, nil
}

// refused decides what to do about a batch that the store did not take. An error means that the relay is to wait.
func (l *lane) refused(ctx context.Context, list []row, err error) error {
	verdict, index := judge(err)
	switch {
	case verdict == beaten:
		l.mu.Lock()
		l.stats.Beaten++
		l.mu.Unlock()
		return errBeaten
	case verdict == down:
		return err
	case verdict == refused && index < len(list):
		var item *bellhop.ItemError
		if errors.As(err, &item) {
			err = item.Err
		}
		return ofDatabase(l.setAside(ctx, &list[index], err))
	case len(list) > 1: // one of them, perhaps
		l.bite = len(list) / 2
		return nil
	}
	seq := list[0].seq
	d := l.doubts[seq]
	switch {
	case d == nil && len(l.doubts) == maxDoubts:
		clear(l.doubts)
		return fmt.Errorf("each of %d jobs was refused: %w", maxDoubts+1, err)
	case d == nil:
		if l.doubts == nil {
			l.doubts = map[int64]*doubt{}
		}
		d = &doubt{taken: l.taken}
		l.doubts[seq] = d
	case d.taken < l.taken: // others were taken meanwhile
		return ofDatabase(l.setAside(ctx, &list[0], err))
	}
	d.next = time.Now().Add(min(time.Second<<min(d.tries, 6), time.Minute))
	d.tries++
	d.err = fmt.Errorf("job %s: %w", list[0].id, err)
	l.refusals.Note(ctx, d.err)
	return nil
}

// setAside puts a row that cannot be moved where it is not in the way of others, with the reason.
func (l *lane) setAside(ctx context.Context, one *row, reason error) error {
	place := placeAside
	if errors.Is(reason, errLater) {
		place = placeLater
	}
	// Like the deletion of rows that were moved it is finished when the relay is to stop, so that what was done is told.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := l.rows.setAside(ctx, one.seq, place, reason.Error()); err != nil {
		return err
	}
	delete(l.doubts, one.seq)
	l.mu.Lock()
	l.stats.SetAside++
	l.mu.Unlock()
	l.asides.Note(ctx, fmt.Errorf("job %s: %w", one.id, reason))
	return nil
}
