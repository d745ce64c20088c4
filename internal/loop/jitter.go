package loop

import (
	"math/rand/v2"
	"time"
)

// Jitter returns a random duration from d up to d + fraction*d, so that processes that started together do not keep
// step. It never shortens: a wait until something is due must not end before it, and a wait that bounds a rate must keep the
// bound. A d of 0 or less gives 0, [Never] stays Never, and a fraction of 0 or less changes nothing.
func Jitter(d time.Duration, fraction float64) time.Duration {
	if d <= 0 {
		return 0
	}
	if d == Never || !(fraction > 0) { // written so that it holds for NaN too
		return d
	}
	extra := float64(d) * fraction * rand.Float64()
	if !(extra < float64(Never-d)) {
		return Never
	}
	return d + time.Duration(extra)
}
