package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/postgres"
)

// sql runs a statement of the administrator's; S stands for the schema.
func (l *lister) sql(statement string) {
	_, err := l.conn.Exec(l.Context(), strings.ReplaceAll(statement, "S.", `"`+l.schema+`".`))
	must(l, err)
}

// claim asks a store for as many jobs.
func (l *lister) claim(s *postgres.Store, limit int) []bellhop.Claim {
	r := l.request()
	r.Limit, r.Wants[0].Count = limit, limit
	reply, err := s.Exchange(l.Context(), r)
	must(l, err)
	return reply.Claims
}

// A process that comes to a queue from which much was claimed begins where others are. What has become
// ready before that, of which nobody has told it, is found in bites, by the others as well.
func TestNewProcessBeginsWhereOthersAre(t *testing.T) {
	l := newLister(t)
	l.enqueue(1)
	claims, _ := l.exchange(nil, 2)
	l.exchange(claims, 2)
	bound := l.store.Bound("q", []string{"k"}, 0)
	l.store.ShareHeads(t.Context())
	l.enqueue(1)
	l.sql("update S.bellhop_ready set due = 1")
	l.enqueue(1)
	second := reopen(t, l.store)
	if claims = l.claim(second, 2); len(claims) != 1 || claims[0].Place.Due.UnixMicro() == 1 {
		t.Fatalf("a new process has claimed %v; want what is due now, of what is due since 1970 it knows nothing", claims)
	}
	if got := second.Bound("q", []string{"k"}, 0); bound == 0 || got < bound {
		t.Errorf("a new process looks from %d on, where another looks from %d on", got, bound)
	}
	for name, s := range map[string]*postgres.Store{"the new": second, "the old": l.store} {
		l.sql("update S.bellhop_ready set due = (extract(epoch from now() - interval '10 minutes') * 1000000)::bigint")
		for deadline := time.Now().Add(time.Minute); len(l.claim(s, 1)) == 0; {
			if time.Now().After(deadline) {
				t.Fatalf("%s process never finds what is due since ten minutes", name)
			}
			time.Sleep(10 * time.Millisecond) // asked for again and again, as a worker does
		}
		l.enqueue(1)
	}

	l.sql("update S.bellhop_ready set due = 1")
	l.sql("update S.bellhop_counters set value = 1::bigint << 60 where name like 'head %'")
	if claims = l.claim(reopen(t, l.store), 1); len(claims) != 1 {
		t.Error("where a clock was ahead, a new process passes over what is due")
	}
}
