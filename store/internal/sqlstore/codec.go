package sqlstore

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

// at returns a stored time; 0 is no time.
func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// moment returns a time as it is stored: null for none.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// ceiling returns the first stored moment that is not before t.
func ceiling(t time.Time) int64 {
	micros := t.UnixMicro()
	if at(micros).Before(t) {
		micros++
	}
	return micros
}

// wait returns a duration in microseconds.
func wait(d time.Duration) int64 { return int64(d / time.Microsecond) }

// none returns nil for an empty text, so that it is stored as null.
func none(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func noBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// keepable cleans a text that is not valid UTF-8 or holds a NUL, which some
// databases refuse; any other comes back as it is.
func keepable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return bellhop.CleanText(s, bellhop.MaxErrorText)
}

// Texts is the parameter for the macro {list}. Through database/sql it is a JSON array.
type Texts []string

// Value implements [driver.Valuer].
func (t Texts) Value() (driver.Value, error) {
	b, err := json.Marshal([]string(t))
	return string(b), err
}

// Numbers is the parameter for the macro {numbers}. Through database/sql it is a JSON array.
type Numbers []int64

// Value implements [driver.Valuer].
func (n Numbers) Value() (driver.Value, error) {
	b := make([]byte, 0, 2+8*len(n))
	b = append(b, '[')
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, v, 10)
	}
	return string(append(b, ']')), nil
}

// sorted sorts the numbers: all transactions lock rows in this order.
func (n Numbers) sorted() Numbers {
	slices.Sort(n)
	return n
}

// encode writes lists, maps and failures as JSON, and what is empty as null.
func encode[T any](v T, empty bool) any {
	if empty {
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // texts, lists and maps of them always encode
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func encodeFailure(f *bellhop.Failure) any {
	if f == nil {
		return nil
	}
	return encode(bellhop.Failure{Class: keepable(f.Class), Message: keepable(f.Message), Stack: keepable(f.Stack)}, false)
}

// num reads an integer, or null as 0.
type num int64

// Scan implements [database/sql.Scanner].
func (n *num) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		*n = num(v)
	case bool:
		*n = num(bit(v))
	case nil:
		*n = 0
	case []byte:
		i, err := strconv.ParseInt(string(v), 10, 64)
		*n = num(i)
		return err
	default:
		return fmt.Errorf("a %T where a number is kept", src)
	}
	return nil
}

func (n num) time() time.Time { return at(int64(n)) }

// instant reads a time that may be any, also the one that is stored as 0; null
// is no time.
type instant struct{ time.Time }

// Scan implements [database/sql.Scanner].
func (i *instant) Scan(src any) error {
	var n num
	err := n.Scan(src)
	i.Time = time.Time{}
	if src != nil {
		i.Time = time.UnixMicro(int64(n)).UTC()
	}
	return err
}

// text reads a text, or null as the empty one.
type text string

// Scan implements [database/sql.Scanner].
func (t *text) Scan(src any) error {
	switch v := src.(type) {
	case string:
		*t = text(v)
	case []byte:
		*t = text(v)
	case nil:
		*t = ""
	default:
		return fmt.Errorf("a %T where a text is kept", src)
	}
	return nil
}

func (t text) decode(into any) error {
	if t == "" {
		return nil
	}
	return json.Unmarshal([]byte(t), into)
}

// blob reads bytes, or null as nil.
type blob []byte

// Scan implements [database/sql.Scanner].
func (b *blob) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		*b = bytes.Clone(v)
	case string:
		*b = []byte(v)
	case nil:
		*b = nil
	default:
		return fmt.Errorf("a %T where bytes are kept", src)
	}
	return nil
}

// uid reads an id, or null as the zero one.
type uid bellhop.ID

// Scan implements [database/sql.Scanner].
func (id *uid) Scan(src any) error {
	switch v := src.(type) {
	case []byte:
		if len(v) != len(id) {
			return fmt.Errorf("%d bytes where an id is kept", len(v))
		}
		copy(id[:], v)
	case string: // how drivers give a column of type uuid
		parsed, err := bellhop.ParseID(v)
		*id = uid(parsed)
		return err
	case nil:
		*id = uid{}
	default:
		return fmt.Errorf("a %T where an id is kept", src)
	}
	return nil
}

// jobColumns are the columns of a job's row, as row.job scans them.
const jobColumns = `j.job, j.id, j.kind, j.queue, j.priority, j.args, j.run_at, j.attempts, j.timeout_ns, j.retention_ns, j.unique_key, j.tags, j.meta, j.enqueued_at`

// row reads the rows of jobs and places. It is used again for each row of a result.
type row struct {
	number                                                          num
	id                                                              uid
	kind, queue, uniqueKey, tags, meta                              text
	priority, attempts, timeout, retention, enqueuedAt              num
	runAt                                                           instant
	args                                                            blob
	state, due, generation, claim, attempt, failures, crashes, susp num
	waits, claimedAt, started, cancel, finishedAt, expiresAt        num
	process, exchange                                               uid
	reason                                                          text
	progress, result                                                blob
	job, place                                                      []any
}

func newRow() *row {
	r := &row{}
	r.job = []any{
		&r.number, &r.id, &r.kind, &r.queue, &r.priority, &r.args, &r.runAt, &r.attempts, &r.timeout, &r.retention,
		&r.uniqueKey, &r.tags, &r.meta, &r.enqueuedAt,
	}
	r.place = []any{
		&r.state, &r.due, &r.generation, &r.claim, &r.attempt, &r.failures, &r.crashes, &r.susp, &r.cancel,
		&r.reason, &r.progress, &r.waits, &r.process, &r.claimedAt, &r.exchange, &r.started,
		&r.finishedAt, &r.expiresAt, &r.result,
	}
	return r
}

// all returns the destinations of a job's columns and its place's.
func (r *row) all() []any { return append(r.job[:len(r.job):len(r.job)], r.place...) }

// newJob returns the job that was read, and what is wrong with it. Its texts and bytes are its own.
func (r *row) newJob() (j *bellhop.Job, damage error) {
	j = &bellhop.Job{
		ID: bellhop.ID(r.id), Kind: string(r.kind), Queue: string(r.queue), Priority: int(r.priority), Args: r.args,
		RunAt: r.runAt.Time, Attempts: int(r.attempts), Timeout: time.Duration(r.timeout), Retention: time.Duration(r.retention),
		UniqueKey: string(r.uniqueKey), EnqueuedAt: r.enqueuedAt.time(),
	}
	return j, ReadTexts(j, r.tags, r.meta)
}

func (r *row) newPlace() bellhop.Place {
	return bellhop.Place{
		State: bellhop.State(r.state), Due: r.due.time(), Generation: int(r.generation), Claim: int64(r.claim),
		Attempt: int(r.attempt), Failures: int(r.failures), Crashes: int(r.crashes), Suspect: r.susp != 0, Waits: int(r.waits),
		Process: bellhop.ID(r.process), ClaimedAt: r.claimedAt.time(), Exchange: bellhop.ID(r.exchange), CancelRequested: r.cancel != 0,
		FinishedAt: r.finishedAt.time(), ExpiresAt: r.expiresAt.time(),
		Reason: string(r.reason), Progress: r.progress, Result: r.result,
	}
}

// newClaim returns the claim that was read, and what is wrong with its job.
func (r *row) newClaim() (c bellhop.Claim, damage error) {
	j, damage := r.newJob()
	return bellhop.Claim{
		Token: bellhop.Token{JobID: j.ID, Number: int64(r.claim), Exchange: bellhop.ID(r.exchange)},
		Job:   j, Place: r.newPlace(), Started: r.started != 0,
	}, damage
}

// place is a table in which a job can be.
type place struct {
	name    string
	table   string
	states  bellhop.StateSet
	columns string // as row.place reads them; the table is p
	queued  bool   // it has a column queue
	indexed bool   // which has an index
}

const counters = `p.due, p.generation, p.claim, p.attempt, p.failures, p.crashes, p.suspect, p.cancel, p.reason, p.progress`

var (
	placeReady     = &place{"ready", "bellhop_ready", bellhop.States(bellhop.StateReady), `3, ` + counters + `, 0, null, null, null, 0, null, null, null`, true, true}
	placeScheduled = &place{"scheduled", "bellhop_scheduled", bellhop.States(bellhop.StateScheduled), `1, ` + counters + `, 0, null, null, null, 0, null, null, null`, true, true}
	placeBlocked   = &place{"blocked", "bellhop_blocked", bellhop.States(bellhop.StateBlocked), `2, ` + counters + `, p.waits, null, null, null, 0, null, null, null`, true, true}
	placeRunning   = &place{"running", "bellhop_running", bellhop.States(bellhop.StateRunning), `4, ` + counters + `, 0, p.process, p.claimed_at, p.exchange, p.started, null, null, null`, true, false}
	placeFinished  = &place{
		"finished", "bellhop_finished", bellhop.States(bellhop.StateSucceeded, bellhop.StateDiscarded, bellhop.StateCancelled),
		`p.state, p.due, p.generation, p.claim, p.attempt, p.failures, p.crashes, p.suspect, 0, p.reason, p.progress, 0, null, null, null, 0, p.finished_at, p.expires_at, p.result`, false, false,
	}
	placeDead = &place{
		"dead", "bellhop_dead", bellhop.States(bellhop.StateDead),
		`8, p.due, p.generation, p.claim, p.attempt, p.failures, p.crashes, p.suspect, 0, p.reason, p.progress, 0, null, null, null, 0, p.finished_at, p.expires_at, p.result`, true, true,
	}
	// The first two have all columns between them, which gives the columns of a union their types.
	places = []*place{placeRunning, placeFinished, placeReady, placeScheduled, placeDead, placeBlocked}
)

// placeOf returns the table for a state.
func placeOf(s bellhop.State) *place {
	for _, p := range places {
		if p.states.Has(s) {
			return p
		}
	}
	panic("no place for " + s.String())
}
