package redis

import (
	"strings"
	"sync/atomic"
)

// WithClockAhead makes the store's clock go before the server's, by microseconds.
func WithClockAhead(micros *atomic.Int64) Option { return func(s *settings) { s.ahead = micros } }

// LayoutVersion is the version of the layout.
const LayoutVersion = layoutVersion

// KindOf returns the type that a key of the namespace must have.
func KindOf(name string) string {
	head, _, parted := strings.Cut(name, "|")
	return types[head+ifSet(parted, "|")]
}

// Layout returns the names of keys and their types.
func Layout() map[string]string {
	all := map[string]string{}
	for _, key := range layout {
		all[key.name] = key.kind
	}
	return all
}
