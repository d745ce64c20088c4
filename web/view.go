package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
)

// view is one request on its way to a page, and the one who made it.
type view struct {
	*http.Request
	s       *Server
	w       http.ResponseWriter
	viewer  *access.Viewer
	route   *route
	shot    *snapshot // what all browsers watch, as of this request; see [view.snapshot]
	noShot  error     // why there is none
	watched *watched  // takes the page for a live stream; nil: the browser does
}

// page is what a handler answers a GET with.
type page struct {
	name   string // of its template: templates/<name>.html
	title  string // heads the page: "Queue mail"
	nav    string // the path of the navigation's current entry: "/queues"
	data   any    // what the template shows, as .Data
	json   any    // what the same address answers to Accept: application/json; nil: there is HTML only
	live   bool   // the template's block "live" is sent again as it changes
	status int    // 0: 200
}

// frame is what the layout is made of.
type frame struct {
	Title, Brand, Nav string
	Here              string // the address of this page within the dashboard, with its query
	Prefix            string
	Viewer            *access.Viewer
	ReadOnly          bool
	Now               time.Time // by the store's clock, as far as it is known
	Flash             *flash
	Live              string // the address of the stream; empty if the page stands still
	Bar               *bar   // what the navigation tells on every page; nil if the store does not answer
	Data              any
}

// parseTemplates reads all templates. Each page is a set of its own: the layout, the partials and its blocks.
func (s *Server) parseTemplates() (map[string]*template.Template, error) {
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	base, err := template.New("").Funcs(s.functions()).Funcs(jobFunctions).ParseFS(files, "templates/layout.html", "templates/partials.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "partials" {
			continue
		}
		set, err := base.Clone()
		if err == nil {
			pages[name], err = set.ParseFS(files, file)
		}
		if err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// render writes a page.
func (v *view) render(p *page) error {
	if p.status == 0 {
		p.status = http.StatusOK
	}
	h := v.w.Header()
	h.Add("Vary", "Accept")
	if p.json != nil && v.wantsJSON() {
		body, err := json.MarshalIndent(p.json, "", "  ")
		if err != nil {
			return err
		}
		h.Set("Content-Type", "application/json")
		writePage(v.w, v.Request, p.status, append(body, '\n'))
		return nil
	}
	f := v.frame(p)
	var body bytes.Buffer
	if err := v.s.execute(&body, p.name, "layout", f); err != nil {
		return err
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	writePage(v.w, v.Request, p.status, body.Bytes())
	return nil
}

func (s *Server) execute(to *bytes.Buffer, name, block string, f *frame) error {
	set := s.pages[name]
	if set == nil {
		return fmt.Errorf("there is no template %q", name)
	}
	return set.ExecuteTemplate(to, block, f)
}

func (v *view) frame(p *page) *frame {
	f := &frame{
		Title: p.title, Brand: v.s.opts.Title, Nav: p.nav, Prefix: v.s.opts.Prefix, Here: v.here(),
		Viewer: v.viewer, ReadOnly: v.s.door.ReadOnly, Now: time.Now(), Data: p.data, Flash: v.takeFlash(),
	}
	if v.viewer != nil {
		v.s.ops.Look()
		if shot := v.snapshot(); shot != nil {
			f.Now, f.Bar = shot.Clock(), shot.bar(v.viewer)
		}
		if p.live {
			f.Live = v.s.opts.Prefix + "/live?at=" + url.QueryEscape(f.Here)
		}
	}
	return f
}

// here is the address of the page within the dashboard.
func (v *view) here() string {
	at := strings.TrimPrefix(v.URL.EscapedPath(), v.s.opts.Prefix)
	if at = strings.TrimSuffix(at, "/"); at == "" {
		at = "/"
	}
	if v.URL.RawQuery != "" {
		at += "?" + v.URL.RawQuery
	}
	return at
}

// wantsJSON reports whether the browser is none: JSON is named, and HTML is not.
func (v *view) wantsJSON() bool {
	accept := v.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// with returns the address of this page with some parameters of its query replaced, in pairs of name and value; an empty value
// takes one away. Paging begins anew unless it is named.
func (v *view) with(pairs ...string) string {
	q := v.URL.Query()
	q.Del("after")
	q.Del("page")
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	at := v.URL.EscapedPath()
	if len(q) == 0 {
		return at
	}
	return at + "?" + q.Encode()
}

// param returns a parameter of the query, cleaned, and cut to a length that no honest one exceeds.
func (v *view) param(name string) string {
	value := v.URL.Query().Get(name)
	return bellhop.CleanText(value[:min(len(value), maxParam)], 4*maxParam) // a byte that is no character becomes three
}

const maxParam = 1024 // bytes

// finish answers a POST that was done: go on by GET, so that a reload repeats nothing.
func (v *view) finish(d *done) error {
	if v.wantsJSON() {
		v.w.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(v.w).Encode(map[string]any{"done": !d.bad, "message": d.said})
	}
	v.setFlash(&flash{Text: d.said, Bad: d.bad})
	http.Redirect(v.w, v.Request, v.s.opts.Prefix+d.to, http.StatusSeeOther)
	return nil
}

// back is where a form says to go on: an address within the dashboard, or else the given one.
func (v *view) back(otherwise string) string {
	if to := v.PostForm.Get("back"); isWithin(to) {
		return to
	}
	return otherwise
}

// isWithin reports whether an address that came from outside stays within the dashboard, once the prefix stands before it.
func isWithin(to string) bool {
	u, err := url.Parse(to)
	if err != nil || slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }) { // they lead out of the prefix
		return false
	}
	return to != "" && len(to) <= 2048 && !u.IsAbs() && u.Host == "" && strings.HasPrefix(u.Path, "/") &&
		!strings.HasPrefix(u.Path, "//") && !strings.ContainsAny(to, "\\\r\n")
}
