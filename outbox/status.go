package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/gobellhop/bellhop"
)

// StatusLimit is how far [Outbox.Status] counts.
const StatusLimit = 10_000

// Status is what an outbox's table holds. Counts go no further than [StatusLimit].
type Status struct {
	// Waiting counts jobs that are to be moved, Lag is how long the first of them has waited.
	Waiting int
	Lag     time.Duration
	// SetAside counts jobs that were refused; they stay until they are tried again or deleted by hand.
	SetAside int
	// Kept counts moved jobs that are kept for a while.
	Kept int
}

// Status looks at the table, from any process: whether it empties is the health of the relays.
func (o *Outbox) Status(ctx context.Context, db *sql.DB) (Status, error) {
	t := rows{o.table, db}
	var s Status
	for _, c := range []struct {
		where string
		into  *int
	}{{t.waiting, &s.Waiting}, {fmt.Sprintf("place in (%d, %d)", placeAside, placeLater), &s.SetAside}, {fmt.Sprintf("place = %d", placeMoved), &s.Kept}} {
		count := fmt.Sprintf("select count(*) from (select seq from %s where %s limit %d) c", t.name, c.where, StatusLimit)
		if err := t.query(ctx, count, func(r *sql.Rows) error { return r.Scan(c.into) }); err != nil {
			return s, fmt.Errorf("outbox: look at the table %s: %w", o.bare, err)
		}
	}
	_, age, err := t.look(ctx, 0, 1)
	if err != nil {
		return s, fmt.Errorf("outbox: look at the table %s: %w", o.bare, err)
	}
	s.Lag = age
	return s, nil
}

// Aside is a row that was set aside.
type Aside struct {
	// Seq is the row's number in the table.
	Seq int64 `json:"seq"`
	// ID is the job's id, as the row has it.
	ID string `json:"id"`
	// Job is the row's column job: JSON if the row is sound.
	Job string `json:"job"`
	// Reason says why the job could not be moved.
	Reason string `json:"reason"`
	// At is when it was set aside, by the database's clock.
	At time.Time `json:"at"`
}

// Asides lists rows that were set aside, in their order, at most limit.
func (o *Outbox) Asides(ctx context.Context, db *sql.DB, limit int) (list []Aside, err error) {
	t := rows{o.table, db}
	statement := fmt.Sprintf("select seq, %s, job, reason, moved_at from %s where place in (%d, %d) order by seq limit %d",
		fmt.Sprintf(t.idText, "id"), t.name, placeAside, placeLater, min(max(limit, 1), StatusLimit))
	err = t.query(ctx, statement, func(r *sql.Rows) error {
		var a Aside
		var reason sql.NullString
		var at sql.NullInt64
		if err := r.Scan(&a.Seq, &a.ID, &a.Job, &reason, &at); err != nil {
			return err
		}
		a.Job, a.Reason, a.At = bellhop.CleanText(a.Job, 4096), reason.String, time.UnixMicro(at.Int64).UTC()
		list = append(list, a)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: look at the table %s: %w", o.bare, err)
	}
	return list, nil
}

// Retry lets all rows that were set aside wait again, and returns how many.
func (o *Outbox) Retry(ctx context.Context, db *sql.DB) (n int64, err error) {
	t := rows{o.table, db}
	for _, place := range []int{placeAside, placeLater} {
		more, err := t.retry(ctx, place, math.MaxInt16)
		if n += more; err != nil {
			return n, fmt.Errorf("outbox: try again what was set aside in the table %s: %w", o.bare, err)
		}
	}
	o.Wake()
	return n, nil
}

// MoveAgain lets all rows wait again that were moved within the last while and are kept ([Config].Keep), and returns how many. It is
// for a store that has lost what it had taken, as Redis may lose its last second. Jobs that the store still has are not taken a
// second time; those that have run and were pruned since are.
func (o *Outbox) MoveAgain(ctx context.Context, db *sql.DB, within time.Duration) (n int64, err error) {
	t := rows{o.table, db}
	var now int64
	if err = t.query(ctx, t.now(), func(r *sql.Rows) error { return r.Scan(&now) }); err == nil {
		n, err = t.renew(ctx, now-within.Microseconds())
	}
	if err != nil {
		return n, fmt.Errorf("outbox: move again what is kept in the table %s: %w", o.bare, err)
	}
	o.Wake()
	return n, nil
}
