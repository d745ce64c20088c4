package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestStatistics(t *testing.T) {
	near(t, "median of nothing", Median(nil), 0)
	near(t, "median of three", Median([]float64{9, 1, 5}), 5)
	near(t, "median of four", Median([]float64{1, 2, 4, 9}), 3)
	near(t, "99th percentile", Percentile([]float64{0, 100}, 99), 99)
	near(t, "highest", Percentile([]float64{3, 1}, 100), 3)
	near(t, "spread", Spread([]float64{90, 100, 110}), 0.1)
	near(t, "spread of nothing", Spread(nil), 0)
}

func TestPairs(t *testing.T) {
	same := Pairs([]float64{2, 4, 8}, []float64{1, 2, 4})
	near(t, "ratio", same.Ratio, 2)
	near(t, "low without any spread", same.Low, 2)
	near(t, "high without any spread", same.High, 2)
	// Logarithms 0 and ln 4: mean ln 2, standard error ln 2, and Student's 12.706 for one degree of freedom.
	wide := Pairs([]float64{1, 4}, []float64{1, 1})
	near(t, "ratio", wide.Ratio, 2)
	near(t, "high", wide.High, math.Exp(math.Ln2*(1+12.706)))
	if one := Pairs([]float64{3}, []float64{1}); one.Low != 0 || one.High < 1e300 {
		t.Errorf("one pair gives %v, as if it knew the spread", one)
	}
	if none := Pairs(nil, nil); none != (Interval{}) {
		t.Errorf("no pairs give %v", none)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.004: "<0.01", 0.256: "0.26", 4.125: "4.12", 99.94: "99.9", 543.2: "543", 1234: "1,230", 83_970: "84,000", 1_234_567: "1,230,000",
		math.Inf(1): "–", math.MaxFloat64: "–",
	} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}

// example is a report of one group on PostgreSQL in which Bellhop drains at a rate, River at 10,000/s, and both at 5 % around it.
func example(rate float64) *Report {
	runs := func(rate, cpu float64) []Sample {
		var s []Sample
		for _, f := range []float64{0.95, 1, 1.05} {
			s = append(s, Sample{Jobs: 1000, Rate: rate * f, ClientCPU: cpu / 2 / f, ServerCPU: cpu / 2, Peak: 40e6})
		}
		return s
	}
	return &Report{
		Machine: []string{"a machine"}, Stores: map[string][]string{"postgres": {"PostgreSQL 15"}},
		Contenders: []Contender{{"postgres", "river", "River", "v1", "tuned"}},
		Groups:     []Group{{"postgres", "drain", "Drain"}},
		Results: []*Result{
			{Store: "postgres", Group: "drain", Task: "drain", Contender: "bellhop", Family: "bellhop", Title: "Bellhop", Keeps: true, Samples: runs(rate, 10)},
			{Store: "postgres", Group: "drain", Task: "drain", Contender: "bellhop-drop", Family: "bellhop", Title: "Bellhop, dropped", Samples: runs(2*rate, 10)},
			{Store: "postgres", Group: "drain", Task: "drain", Contender: "river", Family: "river", Title: "River <&>", Keeps: true, Samples: runs(10_000, 50)},
			{Store: "postgres", Group: "drain", Task: "drain", Contender: "graphile", Family: "graphile-worker", Title: "graphile-worker", Samples: runs(10_000, 50)},
			{Store: "postgres", Group: "drain", Task: "drain", Contender: "minimum", Family: "minimum", Title: "Minimum", Keeps: true, Fault: "it broke"},
		},
		Notes: []string{"the minimum broke"},
	}
}

func TestLikeAgainstLike(t *testing.T) {
	r := example(40_000)
	near(t, "ratio to one that keeps", r.Ratio(r.Find("postgres", "drain", "river")), 4)
	near(t, "ratio to one that drops", r.Ratio(r.Find("postgres", "drain", "graphile")), 8)
	if r.Find("postgres", "drain", "minimum") != nil {
		t.Error("a contender without a run was found")
	}
}

func TestJudge(t *testing.T) {
	river := Targets()[0]
	for _, c := range []struct {
		rate        float64
		near, holds bool
	}{
		{60_000, false, true},  // 6 times: beyond the noise
		{44_000, true, true},   // 4.4 times
		{39_500, true, true},   // the interval includes 4, and 5 times less processor time besides
		{20_000, false, false}, // 2 times: processor time does not help
	} {
		v := example(c.rate).Judge(river)
		if !v.Measured || v.Near != c.near || v.Holds != c.holds {
			t.Errorf("at %v: %+v, want near %v, holds %v", c.rate, v, c.near, c.holds)
		}
	}
	r := example(39_000)
	for _, x := range r.Results {
		for i := range x.Samples {
			x.Samples[i].ClientCPU, x.Samples[i].ServerCPU = 1, 1
			x.Samples[i].Rate = x.Rate()
		}
	}
	if v := r.Judge(river); v.Holds {
		t.Errorf("3.9 times without any spread passes for 4 times: %+v", v)
	}
	theirs := r.Find("postgres", "drain", "river")
	theirs.Samples[0].Rate, theirs.Samples[2].Rate = 1000, 100_000
	if v := r.Judge(river); v.Holds || v.Rate.High < 4 {
		t.Errorf("an interval that is wide enough for anything passes: %+v", v)
	}
	for i, cpu := range []float64{1, 10, 100} {
		theirs.Samples[i].Rate, theirs.Samples[i].ClientCPU = 10_000, cpu
	}
	if v := r.Judge(river); v.Holds || v.CPU.High < 4 {
		t.Errorf("an interval of processor time that is wide enough for anything passes: %+v", v)
	}
	for _, x := range r.Results {
		x.Samples = x.Samples[:min(len(x.Samples), 1)]
	}
	if v := r.Judge(river); v.Holds || v.CPU.High < 4 {
		t.Errorf("one pair, which has no interval, passes: %+v", v)
	}
	if v := r.Judge(Target{Store: "redis"}); v.Measured || v.Word() != "not measured" {
		t.Errorf("what was not measured is judged: %+v", v)
	}
}

func TestTables(t *testing.T) {
	var out bytes.Buffer
	r := example(60_000)
	r.Write(&out)
	for _, want := range []string{"60,000", "6.00 ×", "Minimum: no result", "holds", "PostgreSQL 15", "note: the minimum broke"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables lack %q:\n%s", want, out.String())
		}
	}
	if page := r.Markdown(); !strings.Contains(page, "| River <&> | 10,000 |") || !strings.Contains(page, "| PostgreSQL, drain, best settings | River | 4.00 × | 6.00 × |") {
		t.Errorf("the page lacks a row:\n%s", page)
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	r := example(60_000)
	r.Results[0].Samples = r.Results[0].Samples[:1] // one pair: no interval
	if err := r.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var contenders, targets int
	for decoder := json.NewDecoder(&out); ; {
		var line map[string]any
		if err := decoder.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if line["contender"] == "river" {
			contenders++
			near(t, "the ratio", line["bellhop_ratio"].(float64), 5.7)
		}
		if line["target"] != nil {
			targets++
		}
	}
	if contenders != 1 || targets != 3 {
		t.Errorf("%d lines of River, %d of targets", contenders, targets)
	}
}

func TestCharts(t *testing.T) {
	r := example(60_000)
	r.Groups = append(r.Groups, Group{"redis", "latency", "Latency"})
	r.Results = append(r.Results, &Result{
		Store: "redis", Group: "latency", Task: "latency", Contender: "bellhop", Family: "bellhop", Title: "Bellhop", Samples: []Sample{{Latencies: []int64{900, 1100, 50_000}}},
	})
	folder := t.TempDir()
	if err := r.WriteDocs(folder); err != nil {
		t.Fatal(err)
	}
	for name, wants := range map[string][]string{
		"drain.svg":   {"River &lt;&amp;&gt;", `class="ours"`, "60,000/s", "prefers-color-scheme: dark"},
		"latency.svg": {"1.10 / 49.0 ms"},
	} {
		data, err := os.ReadFile(filepath.Join(folder, "benchmarks", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !bytes.Contains(data, []byte(want)) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		for decoder := xml.NewDecoder(bytes.NewReader(data)); ; {
			if _, err := decoder.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s is not XML: %v", name, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "benchmarks", "bulk.svg")); err == nil {
		t.Error("a chart of nothing was written")
	}
}

func TestWaits(t *testing.T) {
	add := func(store, task string, latencies ...int64) *Result {
		return &Result{Store: store, Task: task, Contender: "bellhop", Samples: []Sample{{Latencies: latencies}, {Latencies: latencies}}}
	}
	r := &Report{Results: []*Result{
		add("sqlite", "across", 9000, 9500, 9900),
		add("mysql", "across", 100_000, 250_000, 600_000),
		add("redis", "latency", 4000, 4100, 4200),
	}}
	got := map[string]string{}
	for _, row := range r.WaitTable().Rows {
		got[row[0]] = row[len(row)-2] + " " + row[len(row)-1]
	}
	want := map[string]string{
		"SQLite, from one process to another": "6 holds", "MariaDB, from one process to another": "6 does NOT hold",
		"Redis, within one process": "6 does NOT hold",
	}
	if !maps.Equal(got, want) {
		t.Errorf("waits: %v, want %v", got, want)
	}
}
