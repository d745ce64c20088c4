package audit

import "time"

// SetNow sets the clock.
func (l *Log) SetNow(now func() time.Time) { l.now = now }
