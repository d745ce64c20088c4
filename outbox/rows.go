package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// row is a waiting row as it was read.
type row struct {
	seq    int64
	id     string
	format int
	text   string
	args   []byte
	age    time.Duration // since it was written, by the database's clock
	job    *bellhop.Job  // decoded
}

// sight is what a look shows of a waiting row.
type sight struct {
	seq  int64
	size int64
}

// rows are the relay's calls to the table.
type rows struct {
	*table
	db *sql.DB
}

// dbTimeout bounds each call to the user's database.
const dbTimeout = 10 * time.Second

// query runs a statement and calls scan for each row of the result.
func (t *rows) query(ctx context.Context, statement string, scan func(*sql.Rows) error, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	found, err := t.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		if err := scan(found); err != nil {
			return err
		}
	}
	return found.Err()
}

func (t *rows) exec(ctx context.Context, statement string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	_, err := t.db.ExecContext(ctx, statement, args...)
	return err
}

// look finds the first waiting rows behind a number, and how long the first of them has waited.
func (t *rows) look(ctx context.Context, behind int64, limit int) (list []sight, age time.Duration, err error) {
	err = t.query(ctx, t.table.look(limit), func(r *sql.Rows) error {
		var s sight
		var written, now int64
		if err := r.Scan(&s.seq, &s.size, &written, &now); err != nil {
			return err
		}
		if len(list) == 0 {
			age = micros(now - written)
		}
		list = append(list, s)
		return nil
	}, behind)
	return list, age, err
}

// load reads the waiting rows between two numbers, and the identity of the outbox at the same moment.
func (t *rows) load(ctx context.Context, first, last int64, limit int) (list []row, identity string, err error) {
	err = t.query(ctx, t.table.load(limit), func(found *sql.Rows) error {
		var r row
		var written, now int64
		var self sql.NullString
		if err := found.Scan(&r.seq, &r.id, &r.format, &r.text, &r.args, &written, &now, &self); err != nil {
			return err
		}
		identity, r.age = self.String, micros(now-written)
		list = append(list, r)
		return nil
	}, first, last)
	return list, identity, err
}

// micros returns a duration, which is not negative even if a clock was set back.
func micros(n int64) time.Duration { return max(0, time.Duration(n)*time.Microsecond) }

// matching returns those of the numbers whose rows still wait and have the given marks.
func (t *rows) matching(ctx context.Context, numbers map[int64][4]byte) (list []int64, err error) {
	seqs := make([]int64, 0, len(numbers))
	for seq := range numbers {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	err = eachBite(seqs, func(n int, args []any) error {
		return t.query(ctx, t.named(n), func(r *sql.Rows) error {
			var seq int64
			var id string
			if err := r.Scan(&seq, &id); err != nil {
				return err
			}
			if numbers[seq] == [4]byte(mark(id)) {
				list = append(list, seq)
			}
			return nil
		}, args...)
	})
	return list, err
}

// drop deletes rows, or marks them as moved.
func (t *rows) drop(ctx context.Context, seqs []int64, keep bool) error {
	return eachBite(seqs, func(n int, args []any) error {
		if keep {
			return t.exec(ctx, t.table.keep(n), args...)
		}
		return t.exec(ctx, t.remove(n), args...)
	})
}

// bites are the numbers of rows that one statement names.
var bites = []int{1, 10, 100, 500}

// eachBite calls fn with the numbers, so many at a time as there are statements for; the last number fills up.
func eachBite(seqs []int64, fn func(n int, args []any) error) error {
	for len(seqs) > 0 {
		n := bites[len(bites)-1]
		for _, b := range bites {
			if b >= len(seqs) {
				n = b
				break
			}
		}
		args := make([]any, n)
		for i := range args {
			args[i] = seqs[min(i, len(seqs)-1)]
		}
		if err := fn(n, args); err != nil {
			return err
		}
		seqs = seqs[min(n, len(seqs)):]
	}
	return nil
}

// setAside puts a row where it is not in the way.
func (t *rows) setAside(ctx context.Context, seq int64, place int, reason string) error {
	return t.exec(ctx, t.aside(), place, ascii([]byte(bellhop.CleanText(reason, 1000))), seq)
}

// prune deletes a bite of moved rows that have been kept for long enough, and reports whether there may be more.
func (t *rows) prune(ctx context.Context, kept time.Duration) (more bool, err error) {
	const bite = 1000
	var seqs []int64
	err = t.query(ctx, t.old(bite), func(r *sql.Rows) error {
		var seq int64
		err := r.Scan(&seq)
		seqs = append(seqs, seq)
		return err
	}, kept.Microseconds())
	if err == nil {
		err = t.drop(ctx, seqs, false)
	}
	return len(seqs) == bite, err
}

// apart calls fn with bites of the numbers of a place's rows whose format is known and that came there at a moment of the database's
// clock or later, in microseconds. fn takes the rows away from the place. It returns how many they were.
func (t *rows) apart(ctx context.Context, place, format int, since int64, fn func(n int, args []any) error) (n int64, err error) {
	const bite = 500
	for last := int64(0); ; {
		var seqs []int64
		err := t.query(ctx, t.table.apart(place, bite), func(r *sql.Rows) error {
			err := r.Scan(&last)
			seqs = append(seqs, last)
			return err
		}, last, format, since)
		if err == nil {
			err = eachBite(seqs, fn)
		}
		if n += int64(len(seqs)); err != nil || len(seqs) < bite {
			return n, err
		}
	}
}

// retry lets rows wait again that were set aside and whose format is known.
func (t *rows) retry(ctx context.Context, place, format int) (int64, error) {
	return t.apart(ctx, place, format, 0, func(n int, args []any) error { return t.exec(ctx, t.again(n), args...) })
}

// renew lets rows wait again that were moved at a moment or later. They get new numbers, because under the old ones they count as
// moved: see [CursorSpace].
func (t *rows) renew(ctx context.Context, since int64) (int64, error) {
	return t.apart(ctx, placeMoved, math.MaxInt16, since, func(n int, args []any) error {
		ctx, cancel := context.WithTimeout(ctx, dbTimeout)
		defer cancel()
		tx, err := t.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, statement := range []string{t.double(n), t.remove(n)} {
			if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		return tx.Commit()
	})
}

// identify returns the id that names the outbox, and gives it one if it has none. It stands in the row with the number 0, which
// no job can have.
func (t *rows) identify(ctx context.Context) (id string, err error) {
	for range 3 {
		err = t.query(ctx, fmt.Sprintf("select %s from %s where seq = 0", fmt.Sprintf(t.idText, "id"), t.name), func(r *sql.Rows) error { return r.Scan(&id) })
		if id != "" || err != nil {
			return id, err
		}
		err = t.name0(ctx, bellhop.NewID().String())
	}
	return "", err
}

// name0 writes the row with the number 0. The number is set afterwards, because MySQL takes a 0 on the way in for "the next
// one". Of two relays that do this at once one succeeds; the other finds the number taken, and its error is of no interest.
func (t *rows) name0(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, dbTimeout)
	defer cancel()
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var seq int64
	_, err = tx.ExecContext(ctx, fmt.Sprintf("insert into %s (id, format, job, args, written_at, place) values (%s, 0, '', %s, %s, %d)",
		t.name, t.mark(1), t.mark(2), t.clock, placeIdentity), id, []byte{})
	if err == nil {
		err = tx.QueryRowContext(ctx, fmt.Sprintf("select seq from %s where place = %d and id = %s", t.name, placeIdentity, t.mark(1)), id).Scan(&seq)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, fmt.Sprintf("update %s set seq = 0 where seq = %s", t.name, t.mark(1)), seq)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
