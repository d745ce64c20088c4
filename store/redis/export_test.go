package redis

import "sync/atomic"

// WithClockAhead makes the store's clock go before the server's, by microseconds.
func WithClockAhead(micros *atomic.Int64) Option { return func(s *settings) { s.ahead = micros } }
