package rollup

import (
	"context"
	"time"

	"github.com/gobellhop/bellhop"
)

// Mark says that something happened to the program at some time, such as a deploy. Charts show it.
type Mark struct {
	At time.Time `json:"at"`
	// Text says what happened, in one line.
	Text string `json:"text"`
	// By says who set the mark; empty if a worker did, of a new version.
	By string `json:"by,omitempty"`
	// Version is the version that began; empty if the mark is about something else.
	Version string `json:"version,omitempty"`
}

// AddMark sets a mark now, by the store's clock. The text is cleaned, and cut at 200 bytes; an empty one is a [*bellhop.InvalidError].
func AddMark(ctx context.Context, store bellhop.Store, text, by string) (Mark, error) {
	return Mark{}, nil
}

// Marks returns the marks of a time, oldest first, at most 1000.
func (r *Reader) Marks(ctx context.Context, from, to time.Time) ([]Mark, error) {
	return nil, nil
}
