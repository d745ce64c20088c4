package postgres

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/internal/sqlstore"
)

// What becomes ready while an exchange looks, and is told of, is found by the
// next: where that look ended does not count any more.
func TestBoundsForgottenMeanwhile(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 5, Wants: []bellhop.Want{{Queue: "q", Count: 5}}}
	fromHead := func(k *looks) bool { return k.dues[0] == head.due }
	for _, queue := range []string{"q", ""} {
		l := &lanes{}
		first := l.begin(r, false)
		l.end(first, &sqlstore.Exchanged{Now: 1e15}, r.Limit, time.Hour)
		second := l.begin(r, false)
		if !fromHead(first) || fromHead(second) {
			t.Fatal("the first look is to be a full one, the second not")
		}
		l.forget(queue)
		l.end(second, &sqlstore.Exchanged{Now: 1e15}, r.Limit, time.Hour)
		if !fromHead(l.begin(r, false)) {
			t.Errorf("told of %q during a look, the next passes over what came", queue)
		}
	}
}

// Nothing is known of a queue from which nothing came while one was paused.
func TestBoundsBesideAPause(t *testing.T) {
	r := &bellhop.ExchangeRequest{Kinds: []string{"a"}, Limit: 5, Wants: []bellhop.Want{{Queue: "q", Count: 5}}}
	l := &lanes{}
	l.end(l.begin(r, false), &sqlstore.Exchanged{Now: 1e15, Paused: 1}, r.Limit, time.Hour)
	if l.begin(r, false).dues[0] != head.due {
		t.Error("jobs of a queue that was paused are passed over")
	}
}

// Servers tell an error's severity in their own language as well.
func TestCertainInAnyLanguage(t *testing.T) {
	for err, want := range map[*pgconn.PgError]bool{
		{Severity: "FEHLER", SeverityUnlocalized: "ERROR"}: true,
		{Severity: "ERROR"}: true,
		{Severity: "FATAL", SeverityUnlocalized: "FATAL"}: false,
	} {
		if certain(err) != want {
			t.Errorf("%+v: certain is %v", err, !want)
		}
	}
}
