package sqlstore

import "testing"

// However many queues there are, a look counts about as many jobs in all, and some of each.
func TestCountedTo(t *testing.T) {
	for _, c := range []struct{ limit, queues, want int }{
		{10_000, 0, 10_000}, {10_000, 1, 10_000}, {10_000, 10, 10_000}, {10_000, 11, 9090}, {10_000, 500, 200}, {10_000, 1_000_000, 100}, {10, 1_000_000, 10},
	} {
		if got := countedTo(c.limit, c.queues); got != c.want {
			t.Errorf("of %d queues, with limit %d, each is counted to %d; want %d", c.queues, c.limit, got, c.want)
		}
	}
}
