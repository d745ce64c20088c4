package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/store/memory"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func newStore(t *testing.T) bellhop.Store {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// all reads the whole audit, in pages of the given size.
func all(t *testing.T, store bellhop.Store, q audit.Query) (entries []audit.Entry) {
	t.Helper()
	for {
		page, err := audit.List(t.Context(), store, q)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, page.Entries...)
		if q.After = page.Next; q.After == "" {
			return entries
		}
	}
}

func TestWriteAndList(t *testing.T) {
	store := newStore(t)
	full := audit.Entry{
		At: noon, Who: "anna", Via: audit.ViaWeb, Remote: "192.0.2.1", Action: "retry", Queue: "mail", Target: "a job", Filter: "state=dead",
		Count: 7, Reason: "deploy", Refused: "no", Times: 3,
	}
	if err := audit.Write(t.Context(), store, full); err != nil {
		t.Fatal(err)
	}
	for i := range 25 { // written in any order, read by time
		e := audit.Entry{At: noon.Add(time.Duration((i*7)%25+1) * time.Minute), Who: fmt.Sprint("user", i%3), Via: audit.ViaAPI, Action: "pause"}
		if err := audit.Write(t.Context(), store, e); err != nil {
			t.Fatal(err)
		}
	}
	got := all(t, store, audit.Query{Limit: 4})
	if len(got) != 26 || got[25] != full {
		t.Fatalf("%d entries, the oldest is %+v", len(got), got[len(got)-1])
	}
	for i := range 25 {
		if want := noon.Add(time.Duration(25-i) * time.Minute); !got[i].At.Equal(want) {
			t.Errorf("entry %d is of %v, want %v", i, got[i].At, want)
		}
	}
	for want, q := range map[int]audit.Query{
		8:  {Who: "user2"},
		1:  {Refused: true},
		26: {Until: noon.Add(time.Hour)},
		25: {Via: audit.ViaAPI, Action: "pause"},
		10: {Since: noon.Add(16 * time.Minute)},
		5:  {Since: noon.Add(6 * time.Minute), Until: noon.Add(11 * time.Minute)},
		0:  {Queue: "mail", Target: "another"},
	} {
		for _, q.Limit = range []int{1, 3, 1000} {
			if got := all(t, store, q); len(got) != want {
				t.Errorf("%+v finds %d entries, want %d", q, len(got), want)
			}
		}
	}
	for _, q := range []audit.Query{{Limit: -1}, {Limit: 1001}, {After: "x"}, {After: strings.Repeat("0", 1000)}} {
		if _, err := audit.List(t.Context(), store, q); !errors.Is(err, bellhop.ErrInvalid) {
			t.Errorf("%+v is answered %v", q, err)
		}
	}
}

func TestHostileTexts(t *testing.T) {
	store := newStore(t)
	bad := strings.Repeat("</script>\x1b[31m\x00\n\u202e\xff", 1000)
	if err := audit.Write(t.Context(), store, audit.Entry{Who: bad, Via: bad, Remote: bad, Action: bad, Queue: bad, Target: bad, Filter: bad, Reason: bad, Refused: bad}); err != nil {
		t.Fatal(err)
	}
	e := all(t, store, audit.Query{})[0]
	raw, err := json.Marshal(e)
	if err != nil || len(raw) > 8<<10 || strings.ContainsAny(e.Who+e.Reason, "\x1b\x00") || !strings.HasPrefix(e.Who, "</script>") {
		t.Errorf("%d bytes, %v: %q", len(raw), err, e.Who)
	}
	if since := time.Since(e.At); since < 0 || since > time.Hour {
		t.Errorf("the entry is of %v", e.At)
	}
}

// TestOneCallIsBounded: a condition that nothing fits does not read the whole audit in one call.
func TestOneCallIsBounded(t *testing.T) {
	store := newStore(t)
	var writes []bellhop.RecordWrite
	for i := range 6000 {
		writes = append(writes, bellhop.RecordWrite{Space: "audit", Key: fmt.Sprintf("%016x-0", i), Value: []byte(`{"at":"2026-01-01T00:00:00Z","action":"a","via":"api"}`), Expect: bellhop.ExpectAny})
	}
	if err := store.Put(t.Context(), writes); err != nil {
		t.Fatal(err)
	}
	page, err := audit.List(t.Context(), store, audit.Query{Action: "b"})
	if err != nil || len(page.Entries) != 0 || page.Next == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	if got := all(t, store, audit.Query{Limit: 1000}); len(got) != 6000 {
		t.Errorf("%d entries", len(got))
	}
}

// logOn returns a log with a clock that the test sets.
func logOn(store bellhop.Store) (*audit.Log, *bytes.Buffer, *time.Time) {
	var out bytes.Buffer
	l := audit.NewLog(store, slog.New(slog.NewTextHandler(&out, nil)))
	now := noon
	l.SetNow(func() time.Time { return now })
	return l, &out, &now
}

func TestLikeActionsAreOneEntry(t *testing.T) {
	store := newStore(t)
	l, _, now := logOn(store)
	for range 1000 {
		l.Write(t.Context(), audit.Entry{Who: "robot", Via: audit.ViaAPI, Action: "cancel", Queue: "mail", Target: "x", Count: 2})
	}
	l.Write(t.Context(), audit.Entry{Who: "anna", Via: audit.ViaAPI, Action: "cancel", Queue: "mail", Target: "y", Count: 1})
	got := all(t, store, audit.Query{Who: "robot", Limit: 1000})
	sum, times := 0, 0
	for _, e := range got {
		sum += e.Count
		times += max(e.Times, 1)
	}
	if len(got) != 100 || sum != 2000 || times != 1000 {
		t.Errorf("%d entries stand for %d actions on %d jobs; want 100, 1000, 2000", len(got), times, sum)
	}
	if got := all(t, store, audit.Query{Who: "anna"}); len(got) != 1 || got[0].Target != "y" || got[0].Times != 0 {
		t.Errorf("another viewer's action is %+v", got)
	}
	*now = now.Add(time.Minute)
	l.Write(t.Context(), audit.Entry{Who: "robot", Via: audit.ViaAPI, Action: "cancel", Queue: "mail", Target: "z", Count: 2})
	if got := all(t, store, audit.Query{Target: "z"}); len(got) != 1 {
		t.Errorf("in the next minute: %+v", got)
	}
}

// TestKnockingIsBounded: however often and by however many names somebody is refused, little is written.
func TestKnockingIsBounded(t *testing.T) {
	counted := &counting{Store: newStore(t)}
	l, _, _ := logOn(counted)
	for range 100_000 {
		l.Write(t.Context(), audit.Entry{Via: audit.ViaAPI, Remote: "192.0.2.1", Action: "delete", Refused: "unauthorized"})
	}
	got := all(t, counted, audit.Query{Limit: 1000})
	times := 0
	for _, e := range got {
		times += max(e.Times, 1)
	}
	if len(got) != 10 || times < 50_000 || times > 100_000 || counted.puts > 40 {
		t.Errorf("%d entries by %d writes stand for %d", len(got), counted.puts, times)
	}
	for i := range 10_000 {
		l.Write(t.Context(), audit.Entry{Who: fmt.Sprint("name", i), Via: audit.ViaAPI, Action: "delete", Refused: "forbidden"})
	}
	if got := all(t, counted, audit.Query{Limit: 1000}); len(got) > 500 || counted.puts > 500 {
		t.Errorf("%d entries by %d writes", len(got), counted.puts)
	}
}

// counting counts writes, and fails them if told to.
type counting struct {
	bellhop.Store
	puts int
	fail error
	ctx  error // of the last write's context
}

func (c *counting) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	c.puts++
	if c.ctx = ctx.Err(); c.fail != nil {
		return c.fail
	}
	return c.Store.Put(ctx, writes)
}

func TestWhatCannotBeWrittenIsLogged(t *testing.T) {
	store := &counting{Store: newStore(t)}
	l, out, _ := logOn(store)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	l.Write(gone, audit.Entry{Who: "anna", Via: audit.ViaAPI, Action: "delete", Reason: "password=hunter2", Filter: "text=token=hunter2"})
	got := all(t, store, audit.Query{})
	if len(got) != 1 || store.ctx != nil {
		t.Errorf("after the caller has gone: %+v, %v", got, store.ctx)
	}
	if raw, err := json.Marshal(got); err != nil || bytes.Contains(raw, []byte("hunter2")) {
		t.Errorf("a secret is kept: %s, %v", raw, err)
	}
	store.fail = bellhop.ErrUnavailable
	l.Write(t.Context(), audit.Entry{Who: "anna", Via: audit.ViaAPI, Action: "drain", Target: "p1"})
	for _, want := range []string{"level=ERROR", "who=anna", "action=drain", "target=p1", "unavailable"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s: %s", want, out)
		}
	}
}
