package web

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// palettes reads the colours of the style sheet: light, dark by choice and dark by the system's wish.
func palettes(t *testing.T) map[string]map[string]string {
	css := string(assets["app.css"].body)
	heads := map[string]string{"light": ":root {", "dark": `:root[data-theme="dark"] {`, "dark by the system": `:root:not([data-theme="light"], [data-theme="dark"]) {`}
	variable := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	all := map[string]map[string]string{}
	for name, head := range heads {
		_, body, found := strings.Cut(css, head)
		body, _, closed := strings.Cut(body, "}")
		if !found || !closed {
			t.Fatalf("%s has no block %q", name, head)
		}
		all[name] = map[string]string{}
		for _, m := range variable.FindAllStringSubmatch(body, -1) {
			all[name][m[1]] = m[2]
		}
	}
	return all
}

// luminance is that of WCAG 2.
func luminance(t *testing.T, color string) float64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(color, "#"), 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift uint) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.03928 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

// Text has a contrast of 4.5 to what it stands on, and drawings and edges of controls have 3: WCAG AA.
func TestContrast(t *testing.T) {
	if got := contrast(t, "#000000", "#ffffff"); fmt.Sprintf("%.1f", got) != "21.0" {
		t.Fatalf("black on white: %f", got)
	}
	grounds := []string{"bg", "panel", "raised", "hover"}
	texts := []string{"text", "muted", "accent", "ready", "running", "scheduled", "blocked", "succeeded", "discarded", "cancelled", "dead", "warn"}
	pairs := [][2]string{
		{"on-accent", "accent"},
		{"accent", "accent-soft"},
		{"text", "accent-soft"},
		{"muted", "accent-soft"},
		{"text", "bad-soft"},
		{"dead", "bad-soft"},
		{"text", "warn-soft"},
		{"warn", "warn-soft"},
		{"succeeded", "good-soft"},
		{"text", "code"},
	}
	for _, text := range texts {
		for _, ground := range grounds {
			pairs = append(pairs, [2]string{text, ground})
		}
	}
	for name, colors := range palettes(t) {
		check := func(text, ground string, want float64) {
			if colors[text] == "" || colors[ground] == "" {
				t.Fatalf("%s: %s or %s is not set", name, text, ground)
			}
			if got := contrast(t, colors[text], colors[ground]); got < want {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, text, ground, got, want)
			}
		}
		for _, pair := range pairs {
			check(pair[0], pair[1], 4.5)
		}
		for _, ground := range []string{"panel", "bg"} {
			check("line-strong", ground, 3)
			check("focus", ground, 3)
		}
	}
}

// Who chooses the dark theme gets what those get whose system asks for it.
func TestBothDarkThemesAreTheSame(t *testing.T) {
	all := palettes(t)
	if len(all["dark"]) != len(all["light"]) {
		t.Errorf("dark sets %d colours, light %d", len(all["dark"]), len(all["light"]))
	}
	for name, color := range all["dark"] {
		if other := all["dark by the system"][name]; other != color {
			t.Errorf("--%s is %s by choice, and %s by the system's wish", name, color, other)
		}
	}
}
