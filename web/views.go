package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/internal/audit"
	"github.com/gobellhop/bellhop/internal/filterurl"
	"github.com/gobellhop/bellhop/internal/redact"
)

const (
	viewSpace = "views" // of records
	maxViews  = 100     // of one person, and for all
	viewName  = 64      // bytes of a name
)

// savedView is a filter that somebody has given a name, for himself or for all.
type savedView struct {
	Key     string    `json:"-"`
	URL     string    `json:"-"`
	Current bool      `json:"-"`
	MayDrop bool      `json:"-"`
	Name    string    `json:"name"`
	Query   string    `json:"query"` // canonical; times such as 24h stay relative
	By      string    `json:"by"`
	For     string    `json:"for,omitempty"` // whose it is; empty: for all
	SavedAt time.Time `json:"saved_at"`
}

// viewPrefix is how the keys of somebody's views begin; of those for all if owner is empty. Names may hold anything, keys only
// hexadecimal digits.
func viewPrefix(owner string) string {
	if owner == "" {
		return "all/"
	}
	return "of/" + digest(owner) + "/"
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:12])
}

// savedViews returns the views for all and those of the viewer, by name.
func (s *Server) savedViews(v *view) ([]savedView, error) {
	owners := []string{""}
	if v.viewer.Name != "" {
		owners = append(owners, v.viewer.Name)
	}
	here := filterurl.Read(v.URL.Query(), v.now(), "after").Query()
	var list []savedView
	for _, owner := range owners {
		records, err := s.client.Store().Records(v.Context(), &bellhop.RecordQuery{Space: viewSpace, Prefix: viewPrefix(owner), Limit: maxViews})
		if err != nil {
			return nil, fmt.Errorf("read the saved views: %w", err)
		}
		for _, r := range records {
			one := savedView{Key: r.Key}
			if json.Unmarshal(r.Value, &one) != nil || one.For != owner {
				continue // of a version to come
			}
			one.URL, one.Current, one.MayDrop = s.at("/jobs", one.Query), one.Query == here && here != "", v.mayAct()
			list = append(list, one)
		}
	}
	slices.SortStableFunc(list, func(a, b savedView) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return list, nil
}

// changeViews saves or deletes a view.
func (s *Server) changeViews(v *view) (*done, error) {
	query, err := url.ParseQuery(v.PostForm.Get("q"))
	if err != nil {
		return nil, badInput("the filter cannot be read: %v", err)
	}
	r := filterurl.Read(query, v.now())
	if len(r.Problems) > 0 {
		return nil, badInput("%s: %s", r.Problems[0].Name, r.Problems[0].Text)
	}
	d := &done{to: s.at("/jobs", r.Query())[len(s.opts.Prefix):]}
	switch action := v.PostForm.Get("action"); action {
	case "save":
		if redact.Asks(&r.Filter) {
			return nil, badInput("the filter looks for the value of a secret, which a view would show to others: leave that condition out")
		}
		d.said, err = s.saveView(v, r.Query())
	case "delete":
		d.said, err = s.deleteView(v, v.PostForm.Get("view"))
	default:
		return nil, badInput("the action %.20q is unknown: want save or delete", action)
	}
	return d, err
}

func (s *Server) saveView(v *view, query string) (string, error) {
	name := strings.TrimSpace(bellhop.CleanText(v.PostForm.Get("name"), 4*viewName))
	switch {
	case name == "":
		return "", badInput("the view has no name: write one")
	case len(name) > viewName:
		return "", badInput("the name has %d bytes: at most %d are allowed", len(name), viewName)
	case query == "":
		return "", badInput("there is no filter to save: choose something first")
	}
	one := savedView{Name: name, Query: query, By: v.viewer.Name, SavedAt: time.Now().UTC()}
	if v.PostForm.Get("shared") == "" {
		one.For = v.viewer.Name // without a name there is nobody whose it could be: then it is for all
	}
	store := s.client.Store()
	records, err := store.Records(v.Context(), &bellhop.RecordQuery{Space: viewSpace, Prefix: viewPrefix(one.For), Limit: maxViews})
	if err != nil {
		return "", fmt.Errorf("read the saved views: %w", err)
	}
	key := viewPrefix(one.For) + digest(name)
	if len(records) >= maxViews && !slices.ContainsFunc(records, func(r bellhop.Record) bool { return r.Key == key }) {
		return "", badInput("there are %d views already: delete one first", maxViews)
	}
	value, err := json.Marshal(one)
	if err != nil { // strings and a time always encode
		panic(err)
	}
	if err := putRecord(v.Context(), store, bellhop.RecordWrite{Space: viewSpace, Key: key, Value: value, Expect: bellhop.ExpectAny}); err != nil {
		return "", err
	}
	s.audit.Write(v.Context(), v.entry(audit.Entry{Action: "save view", Target: name, Filter: query}))
	return fmt.Sprintf("The view “%s” is saved.", name), nil
}

func (s *Server) deleteView(v *view, key string) (string, error) {
	if !strings.HasPrefix(key, viewPrefix("")) && (v.viewer.Name == "" || !strings.HasPrefix(key, viewPrefix(v.viewer.Name))) || len(key) > 128 {
		return "", notFound("There is no such view, or it is not yours.")
	}
	if err := v.viewer.AllowAny(access.Act); err != nil {
		return "", err
	}
	if err := putRecord(v.Context(), s.client.Store(), bellhop.RecordWrite{Space: viewSpace, Key: key, Expect: bellhop.ExpectAny, Delete: true}); err != nil {
		return "", err
	}
	s.audit.Write(v.Context(), v.entry(audit.Entry{Action: "delete view", Target: key}))
	return "The view is deleted.", nil
}

func putRecord(ctx context.Context, store bellhop.Store, w bellhop.RecordWrite) error {
	if err := store.Put(ctx, []bellhop.RecordWrite{w}); err != nil {
		return fmt.Errorf("write a saved view: %w", err)
	}
	return nil
}
