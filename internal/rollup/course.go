package rollup

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
)

// A chart of an hour by the minute would read what each process has written of each minute, sixty records and as many again for each further
// process. So a window of ten minutes has, beside its sums, what its minutes had, of all processes together: the course of the totals and that
// of what clients have enqueued. A reader takes minutes from there as far as there are courses of them.

// course is what happened in minutes, by the minute's number within a window of ten.
type course [10]map[Series]*total

// of returns what happened to a series in a minute, which is noted as the course's own.
func (c *course) of(window, at time.Time, s Series) *total {
	i := int(at.Sub(window) / levels[0].size)
	if c[i] == nil {
		c[i] = map[Series]*total{}
	}
	t := c[i][s]
	if t == nil {
		t = &total{}
		c[i][s] = t
	}
	return t
}

// encode returns the course as bytes: a page's version and names, and for each minute its number, and what a page of totals has behind
// its names, with its length. It is nil for nothing.
func (c *course) encode() []byte {
	w := newPageWriter()
	var body, sums []byte
	for i, minute := range c {
		w.body = w.body[:0]
		for _, s := range slices.SortedFunc(maps.Keys(minute), Series.compare) {
			all := Sums{Counts: minute[s].Counts}
			all.Run.sum = minute[s].ran
			sums = all.appendTo(sums[:0], false)
			w.series(s, sums)
		}
		if len(minute) > 0 {
			body = appendBytes(binary.AppendUvarint(body, uint64(i)), w.body)
		}
	}
	if len(body) == 0 {
		return nil
	}
	w.body = body
	return w.bytes()
}

// courses are what a window of ten minutes tells of its minutes.
type courses struct{ totals, enqueued course }

// encode returns the records of a window's courses.
func (c *courses) encode(window, now time.Time) (writes []bellhop.RecordWrite) {
	for shard, course := range map[string]*course{shardCourse: &c.totals, shardEnqueued: &c.enqueued} {
		if value := course.encode(); value != nil {
			w := levels[tens].write(shard, window, value, now)
			w.TTL = max(window.Add(levels[tens].size+levels[0].keep+lateGrace).Sub(now), time.Minute) // as long as minutes are read
			writes = append(writes, w)
		}
	}
	return writes
}

// minute returns the page of a minute of a course, and whether anything happened in it.
func (p *encodedPage) minute(i int) (page encodedPage, any bool, err error) {
	r := reading{rest: p.body}
	for len(r.rest) > 0 {
		which, body := r.number(), r.bytes()
		if r.err == nil && which == uint64(i) {
			return encodedPage{names: p.names, body: body}, true, nil
		}
	}
	return encodedPage{}, false, r.err
}

// ofShard returns those series of a page of which the queue is in a shard of minutes.
func (p *encodedPage) ofShard(shard int) (page encodedPage, err error) {
	in := make([]bool, len(p.names))
	for i, name := range p.names {
		in[i] = levels[0].queueShard(name) == shard
	}
	page.names = p.names
	r := reading{rest: p.body}
	for len(r.rest) > 0 {
		from := r.rest
		queue := r.number()
		r.number()
		r.bytes()
		if queue >= uint64(len(in)) {
			r.fail()
		}
		if r.err != nil {
			return page, r.err
		}
		if in[queue] {
			page.body = append(page.body, from[:len(from)-len(r.rest)]...)
		}
	}
	return page, nil
}

// courseOf returns the shard of a window of ten minutes that has what a shard of minutes has, if there is one; and the number of the shard
// of queues that is wanted of it, or -1 for all.
func courseOf(shard string) (course string, queues int, ok bool) {
	if shard == shardTotals {
		return shardCourse, -1, true
	}
	if queues, ok := strings.CutPrefix(shard, clients+"q"); ok {
		n, err := strconv.Atoi(queues)
		return shardEnqueued, n, err == nil
	}
	return "", 0, false
}

// fromCourses finds those minutes of which there are courses, and returns the other places.
func (r *Reader) fromCourses(ctx context.Context, now time.Time, places []place, there map[place][]encodedPage) (rest []place, err error) {
	want := map[string]map[time.Time]int{}
	for _, p := range places {
		course, _, ok := courseOf(p.shard)
		if window := levels[tens].window(p.at); ok && !window.Add(levels[tens].size+mergeAfter).After(now) {
			if want[course] == nil {
				want[course] = map[time.Time]int{}
			}
			want[course][window] = 0
		}
	}
	courses := map[place][]encodedPage{}
	for course, windows := range want {
		found, err := r.load(ctx, now, tens, []string{course}, windows)
		if err != nil {
			return nil, err
		}
		maps.Copy(courses, found)
	}
	for _, p := range places {
		course, shard, _ := courseOf(p.shard)
		window := levels[tens].window(p.at)
		pages := courses[place{course, window}]
		if len(pages) == 0 {
			rest = append(rest, p)
			continue
		}
		page, any, err := pages[0].minute(int(p.at.Sub(window) / levels[0].size))
		if err == nil && any && shard >= 0 {
			page, err = page.ofShard(shard)
		}
		if err != nil {
			return nil, (frame{tens, window, 0}).failed(err)
		}
		if len(page.body) > 0 {
			there[p] = []encodedPage{page}
		}
	}
	return rest, nil
}
