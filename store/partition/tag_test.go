package partition_test

import (
	"testing"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/store/memory"
	"github.com/gobellhop/bellhop/store/partition"
)

// A record whose key has a part's tag lives in that part, however jobs come there; a part that no job can come to has none.
func TestTag(t *testing.T) {
	for name, c := range map[string]struct {
		pins map[string]string
		none string // the part without a tag
	}{
		"no pins":             {nil, ""},
		"a pin":               {map[string]string{"mail": "two"}, ""},
		"pins alone":          {map[string]string{"*": "one", "mail": "two", "a {queue}": "two", "x": "three"}, ""},
		"a part out of reach": {map[string]string{"*": "one", "mail": "two"}, "three"},
	} {
		config := partition.Config{By: partition.ByQueue, Pins: c.pins}
		for _, part := range []string{"one", "two", "three"} {
			config.Parts = append(config.Parts, partition.Part{Name: part, Store: memory.New()})
		}
		s, err := partition.New(config)
		if err != nil {
			t.Fatal(err)
		}
		router, ok := bellhop.As[bellhop.Router](bellhop.Store(s))
		if !ok {
			t.Fatal("no router")
		}
		for i, part := range router.Parts() {
			switch tag := router.Tag(i); {
			case (tag == "") != (part == c.none):
				t.Errorf("%s: the tag of %s is %q", name, part, tag)
			case tag != "" && router.Home("any space", "cursor/{"+tag+"}") != i:
				t.Errorf("%s: a record with the tag %q is not in %s", name, tag, part)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
