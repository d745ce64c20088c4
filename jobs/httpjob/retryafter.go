package httpjob

import (
	"net/http"
	"strings"
	"time"
)

// maxRetryAfter is the longest wait that an answer can ask for. A longer one is cut to it.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the Retry-After header: seconds, or a date, which is taken
// from the answer's own Date if there is one, so that the two clocks need not
// agree. ok tells whether there was one that could be read. d is from 0 to
// maxRetryAfter.
func retryAfter(header http.Header, now time.Time) (d time.Duration, ok bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		return secondsOf(text), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if theirs, err := http.ParseTime(header.Get("Date")); err == nil {
		now = theirs
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// secondsOf reads digits, of any number.
func secondsOf(digits string) time.Duration {
	const most = int64(maxRetryAfter / time.Second)
	n := int64(0)
	for i := range len(digits) {
		if n = n*10 + int64(digits[i]-'0'); n >= most {
			return maxRetryAfter
		}
	}
	return time.Duration(n) * time.Second
}

// wait returns how long to wait when a service asked for a wait, without the
// random part that [bellhop.RetryAfter] adds: never less than it asked for.
// Where the backoff would wait longer it counts, so that an outage with short
// waits does not use up all attempts.
func (s *sender) wait(asked time.Duration, failures int) time.Duration {
	return max(asked, s.backoff.Wait(failures+1, s.random()))
}
