package httpjob

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/gobellhop/bellhop"
)

const mask = "xxxxx"

// redactURL returns a URL for messages: scheme, host, path and the names in the
// query, without the query's values.
func redactURL(u *url.URL) string {
	shown := *u
	shown.User, shown.Fragment, shown.RawFragment = nil, "", ""
	if shown.RawQuery != "" {
		parts := strings.Split(shown.RawQuery, "&")
		for i, part := range parts {
			name, _, pair := strings.Cut(part, "=")
			switch {
			case pair:
				parts[i] = name + "=" + mask
			case part != "":
				parts[i] = mask
			}
		}
		shown.RawQuery = strings.Join(parts, "&")
	}
	return bellhop.CleanText(shown.String(), 512)
}

// hidden are texts that must not show in messages.
type hidden []string

// minHidden is the shortest text that is hidden: shorter ones are no secrets,
// and would be found everywhere.
const minHidden = 4

// hide adds the job's headers and query values to what messages must not show.
func (t *trip) hide(a Args) {
	for name, value := range a.Headers {
		if !slices.ContainsFunc(ordinary, func(o string) bool { return strings.EqualFold(o, name) }) {
			t.hidden.add(value)
			for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ;,=\"", r) }) {
				t.hidden.add(word)
			}
		}
	}
	t.hideURL(t.first.url)
}

// hideURL adds the query's values.
func (t *trip) hideURL(u *url.URL) {
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, pair := strings.Cut(part, "=")
		if !pair {
			value = name
		}
		t.hidden.add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			t.hidden.add(plain)
		}
	}
}

func (h *hidden) add(text string) {
	if text = strings.TrimSpace(text); len(text) >= minHidden && !slices.Contains(*h, text) {
		*h = append(*h, text)
	}
}

// clean returns text as one line without what is hidden, at most max bytes long.
func (h hidden) clean(text string, max int) string {
	// Longest first, so that no part of one is left over when a shorter one lies within it.
	slices.SortFunc(h, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, secret := range h {
		text = strings.ReplaceAll(text, secret, mask)
	}
	return bellhop.CleanText(strings.Join(strings.Fields(bellhop.CleanText(text, maxRead)), " "), max)
}
