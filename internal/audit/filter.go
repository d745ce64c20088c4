package audit

import (
	"net/url"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/internal/filterurl"
	"github.com/gobellhop/bellhop/internal/redact"
)

// maxFilter is how many bytes of a filter an entry keeps.
const maxFilter = 1024

// cutMark ends a filter that was cut. It is no condition, so that nobody takes the rest for the whole.
const cutMark = "&…"

// FilterText tells what a filter selects, as the query of the address of a list of jobs: "state=dead&queue=mail". Every way to act writes
// filters so. [redact.Mark] stands for the values of secrets that it looks for; a filter that is too long is cut behind one of its
// conditions.
func FilterText(f *bellhop.Filter) string {
	shown := redact.Filter(*f)
	text := filterurl.Encode(&shown)
	if len(text) <= maxFilter {
		return text
	}
	return text[:max(strings.LastIndexByte(text[:maxFilter-len(cutMark)], '&'), 0)] + cutMark
}

// Leads reports whether the filter of an entry, as the query of a list, selects what the action was done to: not if it was cut, or looks for a
// secret, or was written in another form.
func (e *Entry) Leads() bool {
	query, err := url.ParseQuery(e.Filter)
	if err != nil || e.Filter == "" || strings.Contains(e.Filter, url.QueryEscape(redact.Mark)) {
		return false
	}
	r := filterurl.Read(query, time.Now())
	return len(r.Problems) == 0 && r.Query() != ""
}
