package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gobellhop/bellhop"
)

// state is what the relay's loop knows.
type state struct {
	identity string // of the outbox; empty if it is to be read
	settled  cursor // whose batch is surely gone from the table
	gone     batch  // the last batch of this relay, which is too
	taken    int64  // jobs that the store has taken from this relay

	// Deleted rows slow down a scan until the database has cleaned them up, which an old snapshot prevents. So a look
	// begins behind the last row that was moved; what appears before it, by a transaction that committed late,
	// is found by full looks, which take a twentieth of the time at most.
	low      int64
	nextFull time.Time

	bite   int // rows to move together; fewer while one that the store refuses is being looked for
	doubts map[int64]*doubt

	failures, beaten int // in a row
	eager            time.Duration
	notBefore        time.Time
	nextPrune        time.Time
}

// doubt is a row that the store did not take when it was alone, without saying that it never will.
type doubt struct {
	tries int
	taken int64 // jobs taken by then
	next  time.Time
}

const (
	// maxDoubts is with how many rows in doubt the relay takes the store for the culprit.
	maxDoubts = 10
	// batchBytes is how many bytes of arguments go together, unless one job has more.
	batchBytes = 4 << 20
	// storeTimeout bounds each call to the store.
	storeTimeout = 30 * time.Second
	// dropTimeout is for the deletion of moved rows when the relay is to stop.
	dropTimeout = 5 * time.Second
)

var errBeaten = errors.New("another relay has moved meanwhile")

// sideError says on which side a round failed.
type sideError struct {
	database bool
	err      error
}

func (e *sideError) Error() string { return e.err.Error() }
func (e *sideError) Unwrap() error { return e.err }

func ofDatabase(err error) error {
	if err == nil {
		return nil
	}
	return &sideError{true, err}
}

// step moves one batch. It reports whether there was anything to do.
//
// The order matters: first the cursor is read, then the rows. A row that is there after the cursor was read and does not belong to
// the cursor's batch was not moved before, and the store takes it only if the cursor has not changed since.
func (r *Relay) step(ctx context.Context) (found bool, err error) {
	if r.identity == "" {
		if err := r.begin(ctx); err != nil {
			return false, ofDatabase(err)
		}
	}
	first, last, limit, err := r.choose(ctx)
	if err != nil || limit == 0 {
		return false, err
	}
	c, err := r.settle(ctx)
	if err != nil {
		return false, err
	}
	list, identity, err := r.rows.load(ctx, first, last, limit)
	switch {
	case err != nil:
		return false, ofDatabase(err)
	case len(list) > 0 && identity != r.identity: // the table was emptied or replaced
		r.identity, r.low = "", 0
		return true, nil
	}
	if len(list) == 0 { // moved or deleted by somebody else
		delete(r.doubts, first)
		return true, nil
	}
	if list, err = r.decode(ctx, list, first == last); err != nil || len(list) == 0 {
		return true, ofDatabase(err)
	}
	return true, r.move(ctx, c, list)
}

// begin reads the outbox's identity, and lets rows wait again that were of a format too new for an earlier release.
func (r *Relay) begin(ctx context.Context) error {
	id, err := r.rows.identify(ctx)
	if err != nil {
		return err
	}
	if _, err := r.rows.retry(ctx, placeLater, formatNow); err != nil {
		return err
	}
	r.identity, r.settled, r.gone = id, cursor{}, batch{}
	return nil
}

// choose looks which rows are next: those between two numbers, at most limit; 0 if there are none. A row in doubt whose time has
// come goes alone.
func (r *Relay) choose(ctx context.Context) (first, last int64, limit int, err error) {
	began := time.Now()
	for seq, d := range r.doubts {
		if !d.next.After(began) {
			return seq, seq, 1, nil
		}
	}
	behind, full := r.low, !r.nextFull.After(began)
	if full {
		behind = 0
	}
	list, age, err := r.rows.look(ctx, behind, r.bite+len(r.doubts))
	if err != nil {
		return 0, 0, 0, ofDatabase(err)
	}
	if full {
		r.nextFull = time.Now().Add(min(max(20*time.Since(began), 50*time.Millisecond), 10*time.Second))
	}
	r.mu.Lock()
	r.stats.Lag, r.stats.LookedAt = age, began
	r.mu.Unlock()
	size := int64(0)
	for _, s := range list {
		if r.doubts[s.seq] != nil {
			if limit > 0 { // it would lie between the others
				break
			}
			continue
		}
		if size += s.size; limit > 0 && (size > batchBytes || limit == r.bite) {
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

// settle reads the cursor, and sees to it that the rows of its batch are gone.
func (r *Relay) settle(ctx context.Context) (cursor, error) {
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	c, err := readCursor(limited, r.store, r.identity)
	if err != nil {
		return c, err
	}
	// The version alone would not do: a store that has lost its last moments may give one a second time.
	if c.version == r.settled.version && c.last.same(&r.settled.last) || c.last.same(&r.gone) {
		r.settled = c
		return c, nil
	}
	seqs, err := r.rows.matching(ctx, c.last.numbers())
	if err == nil {
		err = r.rows.drop(ctx, seqs, r.config.Keep > 0)
	}
	if err != nil {
		return c, ofDatabase(err)
	}
	r.settled = c
	r.mu.Lock()
	r.stats.Settled += int64(len(seqs))
	r.mu.Unlock()
	return c, nil
}

// decode makes the jobs of rows, and sets aside those that cannot be read. What is left of a delay counts from the store's clock,
// so that the two clocks need not agree.
func (r *Relay) decode(ctx context.Context, list []row, alone bool) ([]row, error) {
	good := list[:0]
	for _, one := range list {
		if !alone && r.doubts[one.seq] != nil { // a late one slipped in
			continue
		}
		var err error
		if one.job, err = decode(one.id, one.format, one.text, one.args); err != nil {
			if err := r.setAside(ctx, &one, err); err != nil {
				return nil, err
			}
			continue
		}
		one.job.Delay = max(0, one.job.Delay-one.age)
		good = append(good, one)
	}
	return good, nil
}

// move gives a batch to the store and deletes its rows.
func (r *Relay) move(ctx context.Context, c cursor, list []row) error {
	b := batchOf(list, r.config.Name)
	put, err := c.advance(r.identity, b)
	if err != nil {
		return err
	}
	request := &bellhop.EnqueueRequest{Puts: []bellhop.RecordWrite{put}}
	for i := range list {
		request.Jobs = append(request.Jobs, list[i].job)
	}
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	receipts, err := r.store.Enqueue(limited, request)
	cancel()
	if err != nil {
		return r.refused(ctx, list, err)
	}
	existing := int64(0)
	for _, receipt := range receipts {
		if receipt.Existing {
			existing++
		}
	}
	r.taken += int64(len(list))
	r.mu.Lock()
	r.stats.Moved += int64(len(list))
	r.stats.Existing += existing
	r.mu.Unlock()
	r.bite = min(4*r.bite, r.config.Batch)
	seqs := make([]int64, len(list))
	for i := range list {
		seqs[i] = list[i].seq
		delete(r.doubts, seqs[i])
	}
	dropping, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	if err := r.rows.drop(dropping, seqs, r.config.Keep > 0); err != nil {
		return ofDatabase(err)
	}
	r.gone = b
	r.low = max(r.low, seqs[len(seqs)-1])
	return nil
}

// refused decides what to do about a batch that the store did not take. An error means that the relay is to wait.
func (r *Relay) refused(ctx context.Context, list []row, err error) error {
	verdict, index := judge(err)
	switch {
	case verdict == beaten:
		r.mu.Lock()
		r.stats.Beaten++
		r.mu.Unlock()
		return errBeaten
	case verdict == down:
		return err
	case verdict == refused && index < len(list):
		var item *bellhop.ItemError
		if errors.As(err, &item) {
			err = item.Err
		}
		return ofDatabase(r.setAside(ctx, &list[index], err))
	case len(list) > 1: // one of them, perhaps
		r.bite = len(list) / 2
		return nil
	}
	seq := list[0].seq
	d := r.doubts[seq]
	switch {
	case d == nil && len(r.doubts) == maxDoubts:
		clear(r.doubts)
		return fmt.Errorf("each of %d jobs was refused: %w", maxDoubts+1, err)
	case d == nil:
		if r.doubts == nil {
			r.doubts = map[int64]*doubt{}
		}
		d = &doubt{taken: r.taken}
		r.doubts[seq] = d
	case d.taken < r.taken: // others were taken meanwhile
		return ofDatabase(r.setAside(ctx, &list[0], err))
	}
	d.next = time.Now().Add(min(time.Second<<min(d.tries, 6), time.Minute))
	d.tries++
	r.target.note(fmt.Errorf("job %s: %w", list[0].id, err))
	return nil
}

// setAside puts a row that cannot be moved where it is not in the way of others, with the reason.
func (r *Relay) setAside(ctx context.Context, one *row, reason error) error {
	place := placeAside
	if errors.Is(reason, errLater) {
		place = placeLater
	}
	if err := r.rows.setAside(ctx, one.seq, place, reason.Error()); err != nil {
		return err
	}
	delete(r.doubts, one.seq)
	r.mu.Lock()
	r.stats.SetAside++
	r.mu.Unlock()
	r.asides.note(fmt.Errorf("job %s: %w", one.id, reason))
	return nil
}
