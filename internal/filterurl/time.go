package filterurl

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// layouts are the forms of a time; those without a zone are UTC. The second is what a form's date field sends.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", "2006-01-02"}

// ParseTime reads a time from 1970 to 2199: 2026-01-31T15:04:05Z, 2026-01-31 15:04 or 2026-01-31, in UTC if no zone is given;
// or, counted back from now, 90s, 15m, 24h or 7d.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if ago, ok := parseAgo(text); ok {
		return now.UTC().Add(-ago).Truncate(time.Microsecond), nil
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			if y := t.UTC().Year(); y < 1970 || y > 2199 {
				return time.Time{}, fmt.Errorf("the year %d is out of range: want 1970 to 2199", y)
			}
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time: want 2026-01-31 15:04 (UTC), 2026-01-31T15:04:05Z, or how long ago: 15m, 24h, 7d", text)
}

// parseAgo reads a length of time of one unit, at most ten years.
func parseAgo(text string) (time.Duration, bool) {
	if text == "" {
		return 0, false
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[text[len(text)-1]]
	n, err := strconv.ParseUint(strings.TrimSpace(text[:len(text)-1]), 10, 32)
	if unit == 0 || err != nil || time.Duration(n) > 3650*24*time.Hour/unit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}
