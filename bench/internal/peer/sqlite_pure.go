//go:build !cgo || race

package peer

// Without a C compiler, and under the race detector (which would compile SQLite once more), peers run on the driver that is ours.
const (
	cgoDriver  = false
	driverName = "modernc.org/sqlite"
)
