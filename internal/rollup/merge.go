package rollup

import "time"

const (
	// mergeAfter is how long after its end a window is merged: by then what processes have to say of it has been written.
	mergeAfter = 2 * time.Minute
	// lateGrace is how much later than a level's time its records expire, so that nothing is gone that is being read.
	lateGrace = 15 * time.Minute
)
