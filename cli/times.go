package cli

import (
	"fmt"
	"strings"
	"time"
)

// clockwork tells times: relative to now, or exact.
type clockwork struct {
	now time.Time
	utc bool
}

const exactForm = "2006-01-02 15:04:05Z"

// at tells when t is: "3s ago", "in 5m", or exact. A zero time is "".
func (c clockwork) at(t time.Time) string {
	switch d := t.Sub(c.now); {
	case t.IsZero():
		return ""
	case c.utc:
		return t.UTC().Format(exactForm)
	case d >= time.Second:
		return "in " + span(d)
	case d > -time.Second:
		return "now"
	default:
		return span(-d) + " ago"
	}
}

// both tells when t is in both ways.
func (c clockwork) both(t time.Time) string {
	if t.IsZero() || c.utc {
		return c.at(t)
	}
	return c.at(t) + " (" + t.UTC().Format(exactForm) + ")"
}

// span tells a time from a second up in one unit.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 100*time.Second:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 1000*day:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/(365*day))
}

// took tells how long something took, to about three digits.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// count writes a number with its noun: "1 job", "1,234 jobs".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// number writes a number with commas between thousands.
func number(n int) string {
	s := fmt.Sprint(n)
	if n < 0 {
		return s
	}
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return strings.Join(append([]string{s}, parts...), ",")
}

// flexTime is a flag's value: a time of RFC 3339, a day, or how long ago.
type flexTime struct{ spec string }

// UnmarshalText keeps the text; its form is checked at once.
func (f *flexTime) UnmarshalText(text []byte) error {
	f.spec = string(text)
	_, err := f.time(time.Now())
	return err
}

// time returns the time that is meant; zero if none was given.
func (f flexTime) time(now time.Time) (time.Time, error) {
	if f.spec == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z", "2006-01-02"} {
		if t, err := time.Parse(form, f.spec); err == nil {
			return t.UTC(), nil
		}
	}
	if d, err := time.ParseDuration(f.spec); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%.40q is not a time: write it like 2026-01-31T15:04:05Z, 2026-01-31 (UTC) or 90m (ago)", f.spec)
}
