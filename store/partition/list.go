package partition

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gobellhop/bellhop"
)

// maxPage is the greatest limit of List and Act.
const maxPage = 1000

// marks is a Next of List and Act: for each part, by name, the Next of that part
// that was reached; empty if its end was. A part that is not named was not begun.
type marks map[string]string

func readMarks(after string, known []string) (marks, error) {
	m := marks{}
	if after == "" {
		return m, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(after)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	for name := range m {
		if !slices.Contains(known, name) {
			err = errors.New("it names another part")
		}
	}
	if err != nil {
		return nil, &bellhop.InvalidError{Index: -1, Field: "after", Reason: "it is not a mark that a page before has returned"}
	}
	return m, nil
}

// next returns the text of the marks, or "" if all parts have come to their end.
func (m marks) next(parts []*part) string {
	for _, p := range parts {
		if !m.ended(p) {
			text, _ := json.Marshal(m) // a map of strings has a text
			return base64.RawURLEncoding.EncodeToString(text)
		}
	}
	return ""
}

func (m marks) ended(p *part) bool {
	after, begun := m[p.name]
	return begun && after == ""
}

// unended returns the parts that have not come to their end.
func (s *Store) unended(m marks) []*part {
	return slices.DeleteFunc(slices.Clone(s.parts), m.ended)
}

// column is the page of one part, as it goes into the page of all.
type column struct {
	part     *part
	jobs     []bellhop.Snapshot
	next     string
	examined int
	taken    int
}

// List implements [bellhop.Store]. It merges the parts' pages by the time of
// enqueueing. A part of whose page only the beginning fits is asked for just that,
// because only a part itself can say where its next page begins.
func (s *Store) List(ctx context.Context, q *bellhop.Query) (*bellhop.Listing, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	m, err := readMarks(q.After, s.router.names)
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, maxPage)
	columns, err := s.columns(ctx, s.unended(m), q, m, func(*part) int { return limit })
	if err != nil {
		return nil, err
	}
	merge(columns, limit)
	var short []*part
	for _, c := range columns {
		if c.taken > 0 && c.taken < len(c.jobs) {
			short = append(short, c.part)
		}
	}
	again, err := s.columns(ctx, short, q, m, func(p *part) int {
		return columns[slices.IndexFunc(columns, func(c *column) bool { return c.part == p })].taken
	})
	if err != nil {
		return nil, err
	}
	for _, a := range again {
		at := slices.IndexFunc(columns, func(c *column) bool { return c.part == a.part })
		a.taken = len(a.jobs)
		columns[at] = a
	}
	page := &bellhop.Listing{Jobs: interleave(columns, limit)}
	for _, c := range columns {
		page.Examined += c.examined
		if c.taken == len(c.jobs) { // also if that is none: it was looked through
			m[c.part.name] = c.next
		}
	}
	page.Next = m.next(s.parts)
	return page, nil
}

// columns reads a page of each of the given parts.
func (s *Store) columns(ctx context.Context, parts []*part, q *bellhop.Query, m marks, limit func(p *part) int) ([]*column, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	list, err := gather(ctx, parts, forEver, func(ctx context.Context, p *part) (*bellhop.Listing, error) {
		own := *q
		own.After, own.Limit = m[p.name], limit(p)
		return p.store.List(ctx, &own)
	})
	if err != nil {
		return nil, err
	}
	columns := make([]*column, len(list))
	for i, a := range list {
		if a.err != nil {
			return nil, fmt.Errorf("partition store: %w", a.err)
		}
		columns[i] = &column{part: a.part, jobs: a.value.Jobs, next: a.value.Next, examined: a.value.Examined}
	}
	return columns, nil
}

// merge says how many jobs of each column come into a page of at most limit. A
// column that has a next page may go on with jobs as new as its last one, or with
// any if its page is empty: what is older in the others waits for it.
func merge(columns []*column, limit int) {
	for range limit {
		var newest *column
		for _, c := range columns {
			switch {
			case c.taken == len(c.jobs) && c.next != "":
				return // its next job is not known
			case c.taken == len(c.jobs):
			case newest == nil || c.head().After(newest.head()):
				newest = c
			}
		}
		if newest == nil {
			return
		}
		newest.taken++
	}
}

func (c *column) head() time.Time { return c.jobs[c.taken].EnqueuedAt }

// interleave returns the jobs that were taken, newest first.
func interleave(columns []*column, limit int) []bellhop.Snapshot {
	jobs := make([]bellhop.Snapshot, 0, limit)
	at := make([]int, len(columns))
	for {
		newest := -1
		for i, c := range columns {
			if at[i] < c.taken && (newest < 0 || c.jobs[at[i]].EnqueuedAt.After(columns[newest].jobs[at[newest]].EnqueuedAt)) {
				newest = i
			}
		}
		if newest < 0 {
			return jobs
		}
		jobs = append(jobs, columns[newest].jobs[at[newest]])
		at[newest]++
	}
}
