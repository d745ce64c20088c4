package bellhop_test

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
)

// putting is a store that counts and may refuse what is put into it.
type putting struct {
	bellhop.Store
	puts   int
	refuse bool
}

func (s *putting) Put(ctx context.Context, writes []bellhop.RecordWrite) error {
	s.puts++
	if s.refuse {
		return errors.New("not now")
	}
	return s.Store.Put(ctx, writes)
}

// enqueuedIn adds up what the records of a store say was enqueued.
func enqueuedIn(t *testing.T, s bellhop.Store) map[string]int64 {
	t.Helper()
	records, err := s.Records(t.Context(), &bellhop.RecordQuery{Space: bellhop.EnqueuedSpace})
	if err != nil {
		t.Fatal(err)
	}
	sum := map[string]int64{}
	for _, r := range records {
		for line := range strings.Lines(string(r.Value)) {
			words := strings.Split(strings.TrimSuffix(line, "\n"), " ")
			for _, kind := range words[1:] {
				name, count, _ := strings.Cut(kind, "=")
				n, err := strconv.ParseInt(count, 10, 64)
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				sum[words[0]+" "+name] += n
			}
		}
	}
	return sum
}

func TestClientsCountWhatTheyEnqueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &putting{Store: memory.New()}
		client, err := bellhop.NewClient(store)
		if err != nil {
			t.Fatal(err)
		}
		enqueue := func(kind string, opts ...bellhop.Option) {
			t.Helper()
			if _, err := bellhop.Enqueue(t.Context(), client, bellhop.RawJob(kind, []byte("{}"), opts...)); err != nil {
				t.Fatal(err)
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d) // the bubble's time
			synctest.Wait()
		}
		pass(time.Hour)
		if store.puts != 0 {
			t.Fatalf("%d writes of an idle client", store.puts)
		}
		for range 3 {
			enqueue("a")
			enqueue("a", bellhop.UniqueKey("once"))
			enqueue("b", bellhop.Queue("mail"))
			pass(time.Second)
		}
		pass(7 * time.Second)
		want := map[string]int64{"default a": 4, "mail b": 3, " a": 4, " b": 3}
		if got := enqueuedIn(t, store); !maps.Equal(got, want) || store.puts != 1 {
			t.Errorf("%s, in %d writes", cmp.Diff(want, got), store.puts)
		}
		// Over minutes; and what could not be written goes with the next.
		for i := range 30 {
			store.refuse = i == 3
			enqueue("a")
			pass(10 * time.Second)
		}
		want["default a"] += 30
		want[" a"] += 30
		if got := enqueuedIn(t, store); !maps.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
		enqueue("a")
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		if store.puts != 32 {
			t.Errorf("%d writes, want one of the last job at the end too", store.puts)
		}
	})
}
