package api_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gobellhop/bellhop/access"
	"github.com/gobellhop/bellhop/api"
)

// operations lists what the document has, as "GET /v1/jobs".
func (s *spec) operations() map[string]map[string]any {
	all := map[string]map[string]any{}
	for path, item := range s.doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if method != "parameters" {
				all[strings.ToUpper(method)+" "+path] = op.(map[string]any)
			}
		}
	}
	return all
}

func TestRoutesAndDocumentAgree(t *testing.T) {
	w := newWorld(t, api.Options{})
	documented := w.spec.operations()
	var routed []string
	for _, rt := range w.server.Routes() {
		name := rt.Method + " " + rt.Path
		routed = append(routed, name)
		op := documented[name]
		if op == nil {
			t.Errorf("%s is a route that the document does not have", name)
			continue
		}
		security, has := op["security"].([]any)
		if free := has && len(security) == 0; free != (rt.Need == access.None) {
			t.Errorf("%s: it needs the role %v, and the document says that a token is needed: %v", name, rt.Need, !free)
		}
		if changes := rt.Method != "GET"; changes && rt.Need < access.Act || changes != (rt.Action != "") {
			t.Errorf("%s needs the role %v, and its action is %q", name, rt.Need, rt.Action)
		}
	}
	for name := range documented {
		if !slices.Contains(routed, name) {
			t.Errorf("%s is in the document and is no route", name)
		}
	}
}

// same compares two lists of names without regard to order.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestRequestFieldsAndDocumentAgree(t *testing.T) {
	w := newWorld(t, api.Options{})
	schemas := w.spec.doc["components"].(map[string]any)["schemas"].(map[string]any)
	for name, fields := range api.Fields() {
		documented := slices.Collect(maps.Keys(schemas[name].(map[string]any)["properties"].(map[string]any)))
		if !same(fields, documented) {
			t.Errorf("%s: the fields are %q, the document has %q", name, fields, documented)
		}
	}
	parameters := api.Parameters()
	for name, op := range w.spec.operations() {
		var documented []string
		list, _ := op["parameters"].([]any)
		for _, p := range list {
			if p := w.spec.follow(p); p["in"] == "query" {
				documented = append(documented, p["name"].(string))
			}
		}
		if read := parameters[op["operationId"].(string)]; !same(read, documented) {
			t.Errorf("%s: the parameters are %q, the document has %q", name, read, documented)
		}
	}
}

func TestDocumentIsServedWithItsPrefix(t *testing.T) {
	for prefix, url := range map[string]string{"": "/", "/work/bellhop": "/work/bellhop"} {
		w := newWorld(t, api.Options{Prefix: prefix})
		doc := w.do("GET", "/v1/openapi.json", "").want(http.StatusOK)
		if got := doc["servers"].([]any)[0].(map[string]any)["url"]; got != url {
			t.Errorf("the server of the document is %v, want %s", got, url)
		}
		if len(doc["paths"].(map[string]any)) != len(w.spec.doc["paths"].(map[string]any)) {
			t.Error("the document is not whole")
		}
	}
}
