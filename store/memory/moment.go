package memory

import "time"

// moment is a time as stores keep it: in microseconds, and so in a third of the
// room of a [time.Time].
type moment int64

// never is the zero time.
var never = momentOf(time.Time{})

func momentOf(t time.Time) moment { return moment(t.UnixMicro()) }

func (m moment) time() time.Time { return time.UnixMicro(int64(m)).UTC() }
