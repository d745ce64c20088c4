package memory

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gobellhop/bellhop"
)

// copyJob returns a job that shares nothing with j. Empty values become nil.
func copyJob(j *bellhop.Job) bellhop.Job {
	c := *j
	c.Args = copyBytes(j.Args)
	c.Tags = nil
	if len(j.Tags) > 0 {
		c.Tags = slices.Clone(j.Tags)
	}
	c.Meta = nil
	if len(j.Meta) > 0 {
		c.Meta = maps.Clone(j.Meta)
	}
	return c
}

// copyPlace returns a place that shares nothing with p.
func copyPlace(p bellhop.Place) bellhop.Place {
	p.Progress, p.Result = copyBytes(p.Progress), copyBytes(p.Result)
	return p
}

func copyBytes(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}

// copyFailure also makes the texts such that every store could keep them.
func copyFailure(f *bellhop.Failure) *bellhop.Failure {
	if f == nil {
		return nil
	}
	return &bellhop.Failure{Class: keepable(f.Class), Message: keepable(f.Message), Stack: keepable(f.Stack)}
}

// keepable cleans a text that is not valid UTF-8 or holds a NUL, which some
// databases refuse; any other comes back as it is.
func keepable(s string) string {
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return bellhop.CleanText(s, bellhop.MaxErrorText)
}

func (j *job) token() bellhop.Token {
	return bellhop.Token{JobID: j.ID, Number: j.place.claim, Exchange: j.exchange.id}
}

func (j *job) claim() bellhop.Claim {
	c := copyJob(&j.Job)
	return bellhop.Claim{Token: j.token(), Job: &c, Place: copyPlace(j.public()), Started: j.place.started}
}

// snapshot returns a job with the records of as many of its newest attempts.
func (j *job) snapshot(attempts int) bellhop.Snapshot {
	s := bellhop.Snapshot{Job: copyJob(&j.Job), Place: copyPlace(j.public())}
	for a := range j.attempts {
		if len(s.History) == attempts {
			break
		}
		s.History = append(s.History, a.snapshot())
	}
	slices.Reverse(s.History)
	return s
}
