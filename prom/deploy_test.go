package prom_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v2"

	"github.com/gobellhop/bellhop/prom"
	"github.com/gobellhop/bellhop/store/memory"
)

// what the collector describes, and the labels of each.
func described(t *testing.T) map[string][]string {
	t.Helper()
	m := prom.New(prom.Options{})
	m.Store(memory.New())
	out := make(chan *prometheus.Desc, 100)
	m.Describe(out)
	close(out)
	form := regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	names := map[string][]string{}
	for d := range out {
		parts := form.FindStringSubmatch(d.String())
		if parts == nil {
			t.Fatalf("a description of another form: %s", d)
		}
		labels := strings.Split(parts[2], ",")
		names[parts[1]] = labels
		if strings.Contains(parts[1], "duration_seconds") {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				names[parts[1]+suffix] = append(labels, "le")
			}
		}
	}
	return names
}

var (
	metricName = regexp.MustCompile(`\bbellhop_[a-z_]+`)
	selector   = regexp.MustCompile(`\b(bellhop_[a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`by \(([^)]*)\) \((?:rate|increase)?\(?(bellhop_[a-z_]+)`)
)

// checkExpression finds names and labels that nobody exports, which would make a panel empty and an alert silent for ever.
func checkExpression(t *testing.T, where, expr string, names map[string][]string) {
	t.Helper()
	if !metricName.MatchString(expr) {
		t.Errorf("%s: %q names no metric of ours", where, expr)
	}
	for _, name := range metricName.FindAllString(expr, -1) {
		if names[name] == nil {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
	has := func(name, label string) {
		for _, l := range names[name] {
			if l == label || label == "instance" || label == "job" { // the scraper's own
				return
			}
		}
		t.Errorf("%s: %s has no label %q", where, name, label)
	}
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, l := range labelName.FindAllStringSubmatch(s[2], -1) {
			has(s[1], l[1])
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			has(g[2], strings.TrimSpace(label))
		}
	}
	if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("%s: brackets do not match in %q", where, expr)
	}
	if strings.Contains(expr, "_total") && !strings.Contains(expr, "rate(") && !strings.Contains(expr, "increase(") {
		t.Errorf("%s: a counter is shown as it is: %q", where, expr)
	}
	for name := range names {
		if strings.HasPrefix(name, "bellhop_queue_") && strings.Contains(expr, name) && !strings.Contains(expr, "max by (queue) ("+name) && !strings.Contains(expr, "max("+name) {
			t.Errorf("%s: %s is the same from every process, and %q does not take its maximum", where, name, expr)
		}
	}
}

func TestDashboardForGrafana(t *testing.T) {
	text, err := os.ReadFile("../deploy/grafana/bellhop.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID string
		Panels     []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	names, ids, taken := described(t), map[int]bool{}, map[[2]int]string{}
	for _, p := range board.Panels {
		if p.Title == "" || p.Description == "" || ids[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q: no title, no description, no expression, or an id twice", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies on %q, or beyond the edge", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			checkExpression(t, p.Title, target.Expr, names)
		}
	}
	if len(board.Panels) < 10 {
		t.Errorf("%d panels", len(board.Panels))
	}
}

func TestAlertRules(t *testing.T) {
	text, err := os.ReadFile("../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	names, seen := described(t), 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			seen++
			checkExpression(t, r.Alert, r.Expr, names)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] == "" {
				t.Errorf("%s: severity, summary, description or runbook is missing", r.Alert)
			}
		}
	}
	if seen == 0 {
		t.Error("there are no rules")
	}
}

// TestManifestsAreYAML: what a typing mistake would break when it is needed.
func TestManifestsAreYAML(t *testing.T) {
	files, err := filepath.Glob("../deploy/kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no manifests", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			var m map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &m); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if m["apiVersion"] == nil || m["kind"] == nil {
				t.Errorf("%s: a document without apiVersion or kind", name)
			}
		}
	}
}
