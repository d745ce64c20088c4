package bellhop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// logged is a run whose client logs into a buffer, from level Warn on.
type logged struct {
	*bellhop.Run
	ctx   context.Context
	lines *bytes.Buffer
}

func newLogged(t testing.TB, wrap ...func(slog.Handler) slog.Handler) *logged {
	t.Helper()
	l := &logged{lines: &bytes.Buffer{}}
	var h slog.Handler = slog.NewTextHandler(l.lines, &slog.HandlerOptions{Level: slog.LevelWarn})
	for _, fn := range wrap {
		h = fn(h)
	}
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(h)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	claim := &bellhop.Claim{Job: &bellhop.Job{ID: bellhop.NewID(), Kind: "k", Queue: "q"}, Place: bellhop.Place{Attempt: 2}}
	l.Run = bellhop.NewRun(client, claim, time.Now(), time.Now)
	l.ctx = l.Attach(context.Background())
	return l
}

// take ends the run, and returns what is kept of its log.
func (l *logged) take(t testing.TB, kind bellhop.OutcomeKind) (log bellhop.Log) {
	t.Helper()
	o := bellhop.Outcome{Kind: kind}
	l.TakeLog(&o)
	if o.Log == nil {
		return log
	}
	if err := json.Unmarshal(o.Log, &log); err != nil || len(o.Log) > bellhop.MaxLog {
		t.Fatalf("%d bytes, %v: %s", len(o.Log), err, o.Log)
	}
	return log
}

// told is a line as text.
func told(l bellhop.LogLine) string {
	text := l.Level.String() + " " + l.Message
	for _, a := range l.Attrs {
		text += " " + a.Key + "=" + a.Value
	}
	return text
}

type card struct {
	Name   string                 `json:"name"`
	Number bellhop.Secret[string] `json:"number"`
}

// panics does so whenever it is asked for its text.
type panics struct{}

func (*panics) Error() string                { panic("no text") }
func (*panics) MarshalJSON() ([]byte, error) { panic("no JSON") }

func TestLogOfARun(t *testing.T) {
	l := newLogged(t)
	began := time.Now()
	log := l.Logger()
	log.Debug("too little")
	log.Info("begun", "n", 12345678901234567, "took", 1500*time.Millisecond, "at", time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), "none", nil)
	log.With("a", 1).WithGroup("request").With("id", "x").Warn("slow\x1b[31m \u202eline\n2", slog.Group("reply", "status", 503), "err", errors.New("no\x00route"))
	log.Error("odd", "json", map[string]any{"user": []int{1, 2}}, "bytes", []byte(`{"b":1}`), "card", card{"anna", bellhop.NewSecret("4711")}, "bad", &panics{}, "num", int64(-7))
	got := l.take(t, bellhop.OutcomeRetry)
	want := []string{
		"INFO begun n=12345678901234567 took=1.5s at=2026-03-01T12:00:00Z none=<nil>",
		"WARN slow line\n2 a=1 request.id=x request.reply.status=503 request.err=noroute",
		`ERROR odd json={"user":[1,2]} bytes={"b":1} card={anna [redacted]} bad=a *bellhop_test.panics that cannot be printed num=-7`,
	}
	if len(got.Lines) != len(want) {
		t.Fatalf("%d lines: %+v", len(got.Lines), got.Lines)
	}
	for i, line := range got.Lines {
		if told(line) != want[i] {
			t.Errorf("line %d is\n%s, want\n%s", i, told(line), want[i])
		}
		if after := line.Time.Sub(began); after < -time.Millisecond || after > time.Minute {
			t.Errorf("line %d was written %v after the start", i, after)
		}
	}
	text := l.lines.String()
	for _, part := range []string{"msg=\"slow", "request.id=x", "level=ERROR", "kind=k queue=q attempt=3", "job=" + l.Job().ID.String()} {
		if !strings.Contains(text, part) {
			t.Errorf("the client's logger lacks %q: %s", part, text)
		}
	}
	if strings.Contains(text, "begun") || strings.Contains(text, "4711") {
		t.Errorf("the client's logger takes lines of Warn and more, and no secrets: %s", text)
	}
}

func TestLogIsKeptWhereItIsOfUse(t *testing.T) {
	for kind := bellhop.OutcomeSucceeded; kind <= bellhop.OutcomeSwept; kind++ {
		l := newLogged(t)
		l.Logger().Info("x")
		if kept := len(l.take(t, kind).Lines) == 1; kept == (kind == bellhop.OutcomeSucceeded) {
			t.Errorf("%v: kept is %v", kind, kept)
		}
	}
	l := newLogged(t)
	l.KeepLog()
	l.LogFrom(slog.LevelError)
	l.Logger().Warn("x")
	l.Logger().Error("y")
	l.SetTrace("0af7651916cd43dd8448eb211c80319c")
	got := l.take(t, bellhop.OutcomeSucceeded)
	if len(got.Lines) != 1 || got.Lines[0].Message != "y" || got.Trace != "0af7651916cd43dd8448eb211c80319c" || !strings.Contains(l.lines.String(), "msg=x") {
		t.Errorf("%+v, and to the client's logger %s", got, l.lines)
	}
	l.Logger().Error("late") // by a goroutine that the handler has left behind
	if got := l.take(t, bellhop.OutcomeSucceeded); len(got.Lines) != 0 {
		t.Errorf("a line that came after the end is there: %+v", got)
	}
	l = newLogged(t)
	l.KeepLog()
	l.Logger()
	if o := (bellhop.Outcome{Kind: bellhop.OutcomeDead}); true {
		if l.TakeLog(&o); o.Log != nil {
			t.Errorf("a log without a line is %s", o.Log)
		}
	}
}

// TestLogIsBounded: however many lines of whatever length, the first and the newest are there, and what is left out is counted.
func TestLogIsBounded(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("\"\\\n\u2028", 500)), rapid.SampledFrom([]string{"", "\xff\x00", "plain", strings.Repeat("x", 3000)}))
	rapid.Check(t, func(rt *rapid.T) {
		l := newLogged(t)
		n := rapid.IntRange(1, 200).Draw(rt, "lines")
		many := rapid.IntRange(0, 40).Draw(rt, "attributes")
		words := rapid.SliceOfN(text, 1, 5).Draw(rt, "texts")
		l.SetTrace(words[0])
		for i := range n {
			attrs := []any{"i", i}
			for k := range many {
				attrs = append(attrs, words[k%len(words)], words[(i+k)%len(words)])
			}
			l.Logger().Info(words[i%len(words)], attrs...)
		}
		got := l.take(t, bellhop.OutcomeDead)
		count := len(got.Lines)
		for i, line := range got.Lines {
			count += line.Skipped
			if line.Message != bellhop.CleanText(line.Message, 1<<10) || line.Attrs[0].Key != "i" || len(line.Attrs) > 33 {
				rt.Fatalf("line %d: %+v", i, line)
			}
		}
		if last := got.Lines[len(got.Lines)-1].Attrs[0].Value; count != n || last != fmt.Sprint(n-1) {
			rt.Fatalf("%d lines of %d are there or counted, the last one is %s", count, n, last)
		}
		if first := got.Lines[0].Attrs[0].Value; first != "0" && got.Lines[0].Skipped == 0 {
			rt.Fatalf("the first line is %s, and nothing is said of those before", first)
		}
	})
}

func TestLogHandler(t *testing.T) {
	var out bytes.Buffer
	own := slog.New(bellhop.LogHandler(slog.NewTextHandler(&out, nil)))
	l := newLogged(t, bellhop.LogHandler)
	own.With("a", 1).InfoContext(l.ctx, "by the program's own", "b", 2)
	own.DebugContext(l.ctx, "below")
	own.Info("outside")
	l.Logger().WarnContext(l.ctx, "by the run's") // whose client has such a handler too
	got := l.take(t, bellhop.OutcomeDead)
	if len(got.Lines) != 2 || told(got.Lines[0]) != "INFO by the program's own a=1 b=2" || told(got.Lines[1]) != "WARN by the run's" {
		t.Errorf("the log is %+v", got.Lines)
	}
	first, second, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(first, "a=1 b=2 job="+l.Job().ID.String()+" kind=k queue=q attempt=3") || !strings.Contains(second, "msg=outside\n") || strings.Contains(second, "job=") {
		t.Errorf("the program's own log is %s", out.String())
	}
	if text := l.lines.String(); strings.Count(text, "by the run's") != 1 || strings.Count(text, "job=") != 1 {
		t.Errorf("the client's log is %s", text)
	}
}

func TestLogFromManyGoroutines(t *testing.T) {
	client, err := bellhop.NewClient(memory.New(), bellhop.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	l := &logged{Run: bellhop.NewRun(client, &bellhop.Claim{Job: &bellhop.Job{}}, time.Now(), time.Now)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				l.Logger().Info("x", "i", i)
			}
		})
	}
	wg.Go(func() { l.SetTrace("t"); l.KeepLog() })
	wg.Wait()
	n := 0
	for _, line := range l.take(t, bellhop.OutcomeSucceeded).Lines {
		n += 1 + line.Skipped
	}
	if n != 800 {
		t.Errorf("%d lines are there or counted, want 800", n)
	}
}

// BenchmarkLogLine measures what a line costs that goes into the log of an attempt, and nowhere else.
func BenchmarkLogLine(b *testing.B) {
	l := newLogged(b)
	b.ReportAllocs()
	for b.Loop() {
		l.Logger().Info("half way", "page", 7, "of", 12, "file", "invoice.pdf")
	}
}
