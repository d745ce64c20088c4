package web

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

// maxHits is how many things the palette offers.
const maxHits = 12

// hit is one thing that the palette leads to.
type hit struct {
	Label string `json:"label"`
	What  string `json:"what"` // "page", "queue", "kind", "job"
	URL   string `json:"url"`
}

// palette answers what is typed into the palette with places to go to, as JSON.
func (s *Server) palette(v *view) error {
	typed := strings.ToLower(strings.TrimSpace(v.param("q")))
	hits := []hit{}
	offer := func(label, what, url string) {
		if len(hits) < maxHits && strings.Contains(strings.ToLower(label), typed) {
			hits = append(hits, hit{label, what, url})
		}
	}
	if id, err := bellhop.ParseID(typed); err == nil && s.has("/jobs/{id}") {
		hits = append(hits, hit{id.String(), "job", s.url("/jobs/%s", id)})
	}
	for _, e := range s.entries() {
		offer(e.Label, "page", s.url(e.Path))
	}
	if shot := v.snapshot(); shot != nil {
		for _, q := range shot.visible(v.viewer) {
			offer(q.Queue, "queue", s.url("/queues/%s", q.Queue))
		}
		for _, kind := range kinds(v.viewer.Processes(shot.Processes)) {
			if s.has("/jobs") {
				offer(kind, "kind", s.url("/jobs?kind=%s", kind))
			}
		}
	}
	if typed != "" && len(hits) < maxHits && s.has("/jobs") {
		hits = append(hits, hit{"Jobs with “" + shorten(v.param("q"), 64) + "” in their arguments", "search", s.url("/jobs?text=%s", v.param("q"))})
	}
	v.w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(v.w).Encode(hits)
}

// kinds returns what living processes work, sorted.
func kinds(processes []bellhop.ProcessStatus) []string {
	var all []string
	for _, p := range processes {
		all = append(all, p.Kinds...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// entry is one place of the navigation. Those whose page is not there are left out.
type entry struct {
	Path, Label, Icon, Key string // Key follows g on the keyboard
}

var navigation = []entry{
	{"/", "Overview", "overview", "o"},
	{"/jobs", "Jobs", "jobs", "j"},
	{"/failures", "Failures", "failures", "f"},
	{"/queues", "Queues", "queues", "q"},
	{"/processes", "Processes", "processes", "p"},
	{"/charts", "Metrics", "charts", "m"},
	{"/bulk", "Operations", "bulk", "b"},
	{"/audit", "Audit", "audit", "a"},
	{"/about", "About", "about", "s"},
}

// entries are the places of the navigation that are there.
func (s *Server) entries() []entry {
	return slices.DeleteFunc(slices.Clone(navigation), func(e entry) bool { return !s.has(e.Path) })
}
