package sqlstore

import (
	"testing"
	"time"
)

// What becomes ready while a claim looks is found by the next: where that look
// ended does not count any more.
func TestBoundForgottenMeanwhile(t *testing.T) {
	b, l := &bounds{}, lane{"q", 0, "a"}
	b.set(l, position{10, 1}, true, time.Hour)
	_, full, _ := b.start(l, true)
	if full {
		t.Fatal("a look soon after a full one is full")
	}
	b.appeared("q", 5, nil)
	b.set(l, position{20, 2}, full, 0)
	if from, full, _ := b.start(l, true); from != head || !full {
		t.Errorf("the next look begins at %v and passes over what came", from)
	}
}
