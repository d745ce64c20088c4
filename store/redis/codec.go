package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

var order = binary.BigEndian

// errBroken says that stored bytes are not what this package writes.
var errBroken = errors.New("its stored bytes are damaged")

// reader takes stored bytes apart. Reading beyond their end yields zeros and is noticed.
type reader struct {
	s      string
	broken bool
}

func (r *reader) take(n int) string {
	if n < 0 || n > len(r.s) {
		r.broken, n = true, 0
	}
	head := r.s[:n]
	r.s = r.s[n:]
	return head
}

// number reads an unsigned integer of n bytes.
func (r *reader) number(n int) (v uint64) {
	for _, c := range []byte(r.take(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) time() time.Time { return at(int64(r.number(8))) }

func (r *reader) id() (id bellhop.ID) {
	copy(id[:], r.take(16))
	return id
}

// at returns a stored time; 0 is no time.
func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// micros returns a time as it is stored.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// appendJob writes what never changes of a job, but for its lane and the time
// of enqueueing, which stand in the place: metadata; then its content, which is
// the unique key, the tags with a NUL after each, run-at, attempts, timeout,
// retention, and the arguments.
func appendJob(b []byte, j *bellhop.Job) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	for _, key := range slices.Sorted(maps.Keys(j.Meta)) {
		b = appendText(appendText(b, key), j.Meta[key])
	}
	order.PutUint32(b[start:], uint32(len(b)-start-4))
	b = appendShort(b, j.UniqueKey)
	start = len(b)
	b = append(b, 0, 0)
	for _, tag := range j.Tags {
		b = append(append(b, tag...), 0)
	}
	order.PutUint16(b[start:], uint16(len(b)-start-2))
	if j.RunAt.IsZero() {
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	} else {
		b = order.AppendUint64(append(b, 1), uint64(j.RunAt.UnixMicro()))
	}
	b = order.AppendUint32(b, uint32(j.Attempts))
	b = order.AppendUint64(b, uint64(j.Timeout))
	b = order.AppendUint64(b, uint64(floorMicros(j.Retention)))
	b = order.AppendUint16(b, uint16(j.Retention-floorMicros(j.Retention)*time.Microsecond))
	return append(b, j.Args...)
}

// floorMicros returns a duration in whole microseconds, rounded down.
func floorMicros(d time.Duration) time.Duration {
	n := d / time.Microsecond
	if d%time.Microsecond < 0 {
		n--
	}
	return n
}

func appendShort(b []byte, s string) []byte {
	return append(order.AppendUint16(b, uint16(len(s))), s...)
}

func appendText(b []byte, s string) []byte {
	return append(order.AppendUint32(b, uint32(len(s))), s...)
}

// readJob reads what appendJob has written. Its texts and bytes are its own.
func readJob(j *bellhop.Job, s string) bool {
	r := reader{s: s}
	meta := reader{s: r.take(int(r.number(4)))}
	for meta.s != "" && !meta.broken {
		if j.Meta == nil {
			j.Meta = map[string]string{}
		}
		key := meta.take(int(meta.number(4)))
		j.Meta[key] = meta.take(int(meta.number(4)))
	}
	j.UniqueKey = r.take(int(r.number(2)))
	if tags := r.take(int(r.number(2))); tags != "" {
		j.Tags = strings.Split(strings.TrimSuffix(tags, "\x00"), "\x00")
	}
	has, runAt := r.number(1), int64(r.number(8))
	if has != 0 {
		j.RunAt = time.UnixMicro(runAt).UTC()
	}
	j.Attempts = int(r.number(4))
	j.Timeout = time.Duration(r.number(8))
	j.Retention = time.Duration(r.number(8)) * time.Microsecond
	j.Retention += time.Duration(r.number(2))
	if r.s != "" {
		j.Args = []byte(r.s)
	}
	return !r.broken && !meta.broken
}

// Flags of a place.
const (
	flagCancel  = 1 // a running job is to stop
	flagStarted = 2 // the running claim's start has been recorded
	flagSuspect = 4
	flagKeyed   = 8 // the job has a unique key
)

// entry is a job with all that is stored of it.
type entry struct {
	bellhop.Snapshot
	turn    uint64
	started bool
	damaged bool   // the job's bytes are there, and cannot be read
	head    string // the first bytes of the place: where the job is, and its claim
}

// readEntry reads a job's bytes and its place. The bytes are empty if they stand
// in the place, or are lost. Of a job whose bytes are damaged the place alone is told.
func readEntry(id, job, place string) (*entry, error) {
	e := &entry{}
	if job != "" && !readJob(&e.Job, job) {
		e.Job, e.damaged = bellhop.Job{}, true
	}
	copy(e.ID[:], id)
	if len(id) != 16 || !e.readPlace(place) {
		return nil, fmt.Errorf("job %s: %w", e.ID, errBroken)
	}
	return e, nil
}

func (e *entry) readPlace(s string) bool {
	r := reader{s: s}
	p := &e.Place
	e.head = s[:min(7, len(s))]
	p.State = bellhop.State(r.number(1) - '0')
	p.Claim = int64(r.number(6))
	if p.State == bellhop.StateRunning {
		p.Exchange, p.Process, p.ClaimedAt = r.id(), r.id(), r.time()
	}
	flags := r.number(1)
	p.CancelRequested, e.started, p.Suspect = flags&flagCancel != 0, flags&flagStarted != 0, flags&flagSuspect != 0
	p.Due = r.time()
	p.Generation = int(r.number(4))
	e.turn = r.number(6)
	e.EnqueuedAt = r.time()
	p.Attempt, p.Failures, p.Crashes = int(r.number(4)), int(r.number(4)), int(r.number(4))
	lane := r.take(int(r.number(2)))
	queue, kind, ok := strings.Cut(lane[min(2, len(lane)):], "|")
	if !ok {
		return false
	}
	e.Queue, e.Kind, e.Priority = queue, kind, int(lane[0]-'a')+bellhop.MinPriority
	if content := r.take(int(r.number(2))); content != "" && !readJob(&e.Job, content) {
		return false
	}
	if r.s == "" || r.broken {
		return !r.broken
	}
	attempts := r.number(1)
	p.FinishedAt, p.ExpiresAt = r.time(), r.time()
	reason, progress, result := int(r.number(4)), int(r.number(4)), int(r.number(4))
	p.Reason = r.take(reason)
	p.Progress = bytesOf(r.take(progress))
	p.Result = bytesOf(r.take(result))
	if r.s == "" || r.broken { // listings leave the records out
		return !r.broken
	}
	for range attempts {
		e.History = append(e.History, readAttempt(&r))
	}
	return !r.broken
}

// readAttempt reads an attempt's record: what the place said of the claim, and
// what appendRecord has written.
func readAttempt(all *reader) (a bellhop.Attempt) {
	r := reader{s: all.take(int(all.number(4)))}
	a.Claim = int64(r.number(6))
	r.id() // the exchange: the scripts compare it
	a.Process, a.ClaimedAt = r.id(), r.time()
	r.number(1)
	a.Due = r.time()
	a.Generation = int(r.number(4))
	a.Outcome = bellhop.OutcomeKind(r.number(1))
	a.Number = int(r.number(4))
	a.Started, a.Ended = r.time(), r.time()
	if r.s != "" {
		readTexts(&r, &a)
	}
	all.broken = all.broken || r.broken
	return a
}

// The highest bits of the length of the class: the stack has a length too, and the log stands behind it; and there is a failure
// beside the log, be its texts empty.
const (
	logFollows  = 1 << 31
	withFailure = 1 << 30
)

// readTexts reads the failure and the log of an attempt that has one of them.
func readTexts(r *reader, a *bellhop.Attempt) {
	class := r.number(4)
	f := bellhop.Failure{Class: r.take(int(class &^ (logFollows | withFailure))), Message: r.take(int(r.number(4)))}
	if class&logFollows != 0 {
		f.Stack = r.take(int(r.number(4)))
		a.Log = bytesOf(r.s)
	} else {
		f.Stack = r.s
	}
	if class&logFollows == 0 || class&withFailure != 0 {
		a.Failure = &f
	}
}

func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// appendTexts writes the failure and the log of an outcome that has one of them.
func appendTexts(b []byte, o *bellhop.Outcome) []byte {
	f := o.Failure
	if f == nil {
		f = &bellhop.Failure{}
	}
	start := len(b)
	b = appendText(b, keepable(f.Class))
	b = appendText(b, keepable(f.Message))
	if len(o.Log) == 0 {
		return append(b, keepable(f.Stack)...)
	}
	b[start] |= logFollows >> 24
	if o.Failure != nil {
		b[start] |= withFailure >> 24
	}
	b = appendText(b, keepable(f.Stack))
	return append(b, o.Log...)
}

// appendToken writes the number and the exchange of a claim.
func appendToken(b []byte, t bellhop.Token) []byte {
	n := uint64(t.Number)
	if n>>48 != 0 {
		n = 1<<48 - 1 // no claim has such a number
	}
	b = append(order.AppendUint16(b, uint16(n>>32)), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(b, t.Exchange[:]...)
}

// readToken reads what appendToken has written.
func readToken(id, s string) (t bellhop.Token) {
	r := reader{s: s}
	copy(t.JobID[:], id)
	t.Number, t.Exchange = int64(r.number(6)), r.id()
	return t
}

// appendHead writes an outcome as the script settle takes it.
func appendHead(b []byte, o *bellhop.Outcome) []byte {
	b = appendToken(b, o.Token)
	b = append(b, '0'+byte(o.Kind.To()), 0)
	if o.Suspect {
		b[len(b)-1] = flagSuspect
	}
	b = order.AppendUint32(b, uint32(o.Attempt))
	b = order.AppendUint32(b, uint32(o.Failures))
	b = order.AppendUint32(b, uint32(o.Crashes))
	b = append(b, byte(o.Kind))
	b = order.AppendUint32(b, uint32(o.Number))
	b = order.AppendUint64(b, uint64(micros(o.Started)))
	b = order.AppendUint64(b, uint64(micros(o.Ended)))
	if o.Failure != nil || len(o.Log) > 0 {
		b = appendTexts(b, o)
	}
	return b
}

// keepable cleans a text as every store does: one that is not valid UTF-8 or
// holds a NUL; any other comes back as it is.
func keepable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return bellhop.CleanText(s, bellhop.MaxErrorText)
}
