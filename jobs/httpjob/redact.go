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

// hidden returns what messages must not show: the job's headers, and the values
// in the queries of all URLs so far. It is asked for by failures only.
func (t *trip) hidden() hidden {
	var h hidden
	for name, value := range t.args.Headers {
		if !slices.ContainsFunc(ordinary, func(o string) bool { return strings.EqualFold(o, name) }) {
			h.add(value)
			for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ;,=\"", r) }) {
				h.add(word)
			}
		}
	}
	for _, u := range t.urls {
		h.addQuery(u)
	}
	return h
}

func (h *hidden) addQuery(u *url.URL) {
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, pair := strings.Cut(part, "=")
		if !pair {
			value = name
		}
		h.add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			h.add(plain)
		}
	}
}

func (h *hidden) add(text string) {
	if text = strings.TrimSpace(text); len(text) >= minHidden {
		*h = append(*h, text)
	}
}

// clean returns text as one line without what is hidden, at most max bytes long.
func (t *trip) clean(text string, max int) string {
	h := t.hidden()
	// Longest first, so that no part of one is left over when a shorter one lies within it.
	slices.SortFunc(h, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	for _, secret := range slices.Compact(h) {
		text = strings.ReplaceAll(text, secret, mask)
	}
	return bellhop.CleanText(strings.Join(strings.Fields(bellhop.CleanText(text, maxRead)), " "), max)
}
