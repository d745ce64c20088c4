package bellhop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"
)

// MaxLog is how many bytes an attempt's [Log] has at most, as JSON. The first lines may have a quarter of them, the newest have
// the rest; what came between is left out, and counted.
const MaxLog = 8 << 10

const (
	maxLogHead  = MaxLog / 4
	maxLogTail  = MaxLog - maxLogHead - 256 // room for the trace and for how many lines were left out
	maxLogText  = 1 << 10                   // bytes of a message, and of a value
	maxLogLine  = 2 << 10                   // bytes of all texts of a line: twice as much, as JSON, still fits
	maxLogName  = 128
	maxLogAttrs = 32
)

// Log is what a handler has left behind for people while it ran; see [Attempt].
type Log struct {
	// Trace is the id of the attempt's trace; see [Run.SetTrace].
	Trace string `json:"trace,omitempty"`
	// Lines are what was logged by [Run.Logger], the oldest first.
	Lines []LogLine `json:"lines,omitempty"`
}

// LogLine is one line of a [Log].
type LogLine struct {
	// Time is when it was written, by the store's clock as the process reckons it; compare it with [Attempt].Started.
	Time time.Time `json:"time"`
	// Level is the line's level: INFO.
	Level slog.Level `json:"level"`
	// Message is what was logged, at most 1 KiB of it, cleaned by [CleanText].
	Message string `json:"message"`
	// Attrs are the line's attributes, without those that name the job.
	Attrs []LogAttr `json:"attrs,omitempty"`
	// Skipped is how many lines before this one are left out, because there were too many.
	Skipped int `json:"skipped,omitempty"`
}

// LogAttr is one attribute of a [LogLine].
type LogAttr struct {
	// Key is the attribute's name, with the names of its groups before it: "request.method".
	Key string `json:"key"`
	// Value is its value as text, at most 1 KiB of it. Structs, maps and lists are written as JSON.
	Value string `json:"value"`
}

// runLog is the log of a run so far. There is none until somebody asks for a logger, or names the trace.
type runLog struct {
	mu                 sync.Mutex
	logger             *slog.Logger // nil until somebody asks for it
	trace              string
	head, tail         [][]byte // lines as JSON
	headSize, tailSize int
	full               bool // head takes no more
	skipped            int  // lines between head and tail
	closed             bool // the handler has returned
}

// Logger returns a logger whose lines name the job, kind, queue and attempt. They go to the client's logger, and from level
// Info on also into the attempt's log, whether the client's logger shows them or not. The log is kept with the job if the attempt
// does not succeed, or [Run.KeepLog] was called: see [Attempt].
func (r *Run) Logger() *slog.Logger {
	l := r.startLog()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.logger == nil {
		next := r.client.Logger().Handler()
		if h, ok := next.(*logHandler); ok { // it would take each line a second time
			next = h.next
		}
		l.logger = slog.New(&logHandler{next: next.WithAttrs(r.logAttrs()), run: r})
	}
	return l.logger
}

// SetTrace names the trace that the attempt is part of, by the id of W3C Trace Context: 32 hexadecimal digits. It is kept where the
// attempt's log is, and the dashboard makes a link of it. Package otel calls it.
func (r *Run) SetTrace(id string) {
	l := r.startLog()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trace = CleanText(id, 64)
}

// KeepLog has the attempt's log kept even if it succeeds.
func (r *Run) KeepLog() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keepLog = true
}

// LogFrom says from which level on lines go into the attempt's log; without it, from Info on. Workers call it before the
// handler starts.
func (r *Run) LogFrom(level slog.Level) {
	r.logFrom = int32(max(min(level, 1<<30), -1<<30))
}

// TakeLog puts what the handler has logged into the outcome that its attempt has come to, if it is to be kept. Workers and test
// kits call it when the handler has returned; lines that come later are not in the log.
func (r *Run) TakeLog(o *Outcome) { r.putLog(o, true) }

// putLog puts the log so far into an outcome. It costs next to nothing if nobody has asked for a logger.
func (r *Run) putLog(o *Outcome, last bool) {
	l := r.log.Load()
	if l == nil {
		return
	}
	r.mu.Lock()
	keep := r.keepLog || o.Kind != OutcomeSucceeded
	r.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if keep {
		o.Log = l.encode()
	}
	if last {
		l.head, l.tail, l.closed = nil, nil, true
	}
}

// startLog returns the run's log, which begins when somebody asks for it.
func (r *Run) startLog() *runLog {
	if l := r.log.Load(); l != nil {
		return l
	}
	r.log.CompareAndSwap(nil, &runLog{})
	return r.log.Load()
}

// logAttrs are the attributes that name the attempt.
func (r *Run) logAttrs() []slog.Attr {
	return []slog.Attr{
		slog.String(AttrJob, r.claim.Job.ID.String()), slog.String(AttrKind, r.claim.Job.Kind),
		slog.String(AttrQueue, r.claim.Job.Queue), slog.Int(AttrAttempt, r.Attempt()),
	}
}

// encode returns the log as a [Log] in JSON; nil if there is nothing in it.
func (l *runLog) encode() []byte {
	if len(l.head)+len(l.tail) == 0 && l.trace == "" {
		return nil
	}
	b, err := json.Marshal(&Log{Trace: l.trace})
	if err != nil { // a text always encodes
		panic(err)
	}
	if len(l.head)+len(l.tail) == 0 {
		return b
	}
	b = b[:len(b)-1]
	if l.trace != "" {
		b = append(b, ',')
	}
	b = append(slices.Grow(b, l.headSize+l.tailSize+64), `"lines":[`...)
	for i, line := range slices.Concat(l.head, l.tail) {
		if i > 0 {
			b = append(b, ',')
		}
		if i == len(l.head) && l.skipped > 0 {
			b = append(strconv.AppendInt(append(b, `{"skipped":`...), int64(l.skipped), 10), ',')
			line = line[1:]
		}
		b = append(b, line...)
	}
	return append(b, `]}`...)
}

// add adds a line.
func (l *runLog) add(line []byte) {
	size := len(line) + 1
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.full = l.full || l.headSize+size > maxLogHead; !l.full {
		l.head, l.headSize = append(l.head, line), l.headSize+size
		return
	}
	l.tail, l.tailSize = append(l.tail, line), l.tailSize+size
	for l.tailSize > maxLogTail {
		l.tailSize -= len(l.tail[0]) + 1
		l.tail[0] = nil
		l.tail = l.tail[1:]
		l.skipped++
	}
}

// LogHandler returns a handler of log lines for programs whose handlers of jobs log by a logger of their own, or by slog's
// default, and hand on their context:
//
//	slog.SetDefault(slog.New(bellhop.LogHandler(slog.NewJSONHandler(os.Stderr, nil))))
//
// A line that is logged with the context of a running attempt gets the attributes that name the job, and goes into the attempt's
// log as those of [Run.Logger] do. All lines go on to next, if it takes lines of their level. For slog's default, next must not be
// the handler that slog's default has to begin with: that one writes by way of the default logger, and the first line would wait for itself.
func LogHandler(next slog.Handler) slog.Handler { return &logHandler{next: next} }

// logHandler takes lines into the log of an attempt, and hands them on.
type logHandler struct {
	next  slog.Handler
	run   *Run      // whose log it is; nil: that of the line's context
	group string    // before the names of attributes
	attrs []LogAttr // of each line
}

func (h *logHandler) runOf(ctx context.Context) *Run {
	if h.run != nil || ctx == nil {
		return h.run
	}
	return FromContext(ctx)
}

// Enabled implements [slog.Handler].
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if r := h.runOf(ctx); r != nil && level >= slog.Level(r.logFrom) {
		return true
	}
	return h.next.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	r := h.runOf(ctx)
	if r != nil && record.Level >= slog.Level(r.logFrom) {
		r.startLog().add(h.line(r, &record))
	}
	if !h.next.Enabled(ctx, record.Level) {
		return nil
	}
	if r != nil && h.run == nil {
		record = record.Clone()
		record.AddAttrs(r.logAttrs()...)
	}
	return h.next.Handle(ctx, record)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	own := *h
	own.next, own.attrs = h.next.WithAttrs(attrs), slices.Clone(h.attrs)
	for _, a := range attrs {
		own.attrs = appendLogAttr(own.attrs, h.group, a)
	}
	return &own
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	own := *h
	own.next = h.next.WithGroup(name)
	if name != "" {
		own.group += name + "."
	}
	return &own
}

// line returns a line as JSON.
func (h *logHandler) line(r *Run, record *slog.Record) []byte {
	l := LogLine{Level: record.Level, Message: CleanText(record.Message, maxLogText), Attrs: slices.Clone(h.attrs), Time: r.now()}
	if !record.Time.IsZero() {
		l.Time = l.Time.Add(time.Until(record.Time)) // the record's is of the local clock
	}
	l.Time = l.Time.UTC().Truncate(time.Microsecond)
	record.Attrs(func(a slog.Attr) bool {
		l.Attrs = appendLogAttr(l.Attrs, h.group, a)
		return true
	})
	room := maxLogLine - len(l.Message)
	for i, a := range l.Attrs {
		if room -= len(a.Key) + len(a.Value); room < 0 || i == maxLogAttrs {
			l.Attrs = append(l.Attrs[:i], LogAttr{"…", fmt.Sprintf("%d more", len(l.Attrs)-i)})
			break
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(&l); err != nil { // a year that JSON cannot write: a time of the program's own making
		l.Time = r.Started()
		b.Reset()
		_ = e.Encode(&l)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// appendLogAttr adds an attribute as text; those of a group one by one.
func appendLogAttr(list []LogAttr, group string, a slog.Attr) []LogAttr {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, inner := range v.Group() {
			list = appendLogAttr(list, group, inner)
		}
		return list
	}
	if a.Key == "" && v.Any() == nil { // the zero attribute is none
		return list
	}
	return append(list, LogAttr{CleanText(group+a.Key, maxLogName), CleanText(logText(v), maxLogText)})
}

// logText returns a value as text.
func logText(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
	default:
		return v.String()
	}
	switch x := v.Any().(type) {
	case error:
		return errorText(x)
	case []byte:
		return string(x)
	case json.RawMessage:
		return string(x)
	case fmt.Stringer, nil:
		return safeText(x)
	default:
		switch reflect.TypeOf(x).Kind() {
		case reflect.Map, reflect.Struct, reflect.Slice, reflect.Array, reflect.Pointer:
			if text, ok := jsonText(x); ok {
				return text
			}
		}
		return safeText(x)
	}
}

// jsonText returns a value as JSON, unless it has none, or holds secrets, which would be under seal there.
func jsonText(v any) (text string, ok bool) {
	defer func() {
		if recover() != nil { // in a method of the value
			text, ok = "", false
		}
	}()
	b, err := json.Marshal(v)
	return string(b), err == nil && !hasSeals(b)
}
