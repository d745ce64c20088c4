package partition

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/gobellhop/bellhop"
)

func init() { bellhop.Register("partition", open) }

// File is what a file of parts holds, as JSON. An address "partition:parts.json"
// names it; passwords stand in the file, or in the environment, and so in no address.
//
//	{
//	  "by": "queue",
//	  "parts": [
//	    {"name": "one", "address": "postgres://jobs:${JOBS_PASSWORD}@db1/jobs"},
//	    {"name": "two", "address": "postgres://jobs:${JOBS_PASSWORD}@db2/jobs"}
//	  ],
//	  "pins": {"mail": "two"}
//	}
type File struct {
	// By is "queue" or "key".
	By By `json:"by"`
	// Parts are the stores; see [Part] for what their names mean.
	Parts []FilePart `json:"parts"`
	// Pins are [Config].Pins.
	Pins map[string]string `json:"pins"`
}

// FilePart is a part in a [File].
type FilePart struct {
	// Name routes; see [Part].
	Name string `json:"name"`
	// Address opens the part. ${NAME} stands for a variable of the environment.
	Address string `json:"address"`
}

// open opens the store that a file describes. A parameter migrate of the address
// goes to every part that has a place.
func open(ctx context.Context, address string) (bellhop.Store, error) {
	path, query, _ := strings.Cut(strings.TrimPrefix(address, "partition:"), "?")
	path = strings.TrimPrefix(path, "//")
	values, err := url.ParseQuery(query)
	if err != nil || path == "" || values.Has("migrate") && len(values) > 1 || !values.Has("migrate") && len(values) > 0 {
		return nil, errors.New("want the file that names the parts, as in partition:parts.json, and no parameter but migrate")
	}
	f, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c := Config{By: f.By, Pins: f.Pins}
	closeAll := func() {
		for _, p := range c.Parts {
			_ = p.Store.Close()
		}
	}
	for _, p := range f.Parts {
		store, err := openPart(ctx, p, values.Get("migrate"))
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("%s: part %.128q: %w", path, p.Name, err)
		}
		c.Parts = append(c.Parts, Part{Name: p.Name, Store: store})
	}
	s, err := New(c)
	if err != nil {
		closeAll()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s.able(), nil
}

// maxFile bounds the size of a file of parts.
const maxFile = 1 << 20

func readFile(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, err
	}
	f := &File{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if decoder.More() {
		return nil, fmt.Errorf("%s: something follows the closing brace", path)
	}
	return f, nil
}

func openPart(ctx context.Context, p FilePart, migrate string) (bellhop.Store, error) {
	address, err := expand(p.Address)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(address, "partition:") {
		return nil, errors.New("a part cannot be made of parts itself: name them all in one file")
	}
	if migrate == "" || !hasPlace(address) {
		return bellhop.OpenStore(ctx, address)
	}
	path, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return bellhop.OpenStore(ctx, address) // which says what is wrong with it
	}
	values.Set("migrate", migrate)
	return bellhop.OpenStore(ctx, path+"?"+values.Encode())
}

// hasPlace reports whether an address names a place, where there may be a schema.
func hasPlace(address string) bool {
	_, place, _ := strings.Cut(address, ":")
	return strings.Trim(place, "/") != ""
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand puts variables of the environment into an address.
func expand(address string) (string, error) {
	var missing error
	text := variable.ReplaceAllStringFunc(address, func(name string) string {
		name = name[2 : len(name)-1]
		value, ok := os.LookupEnv(name)
		if !ok {
			missing = fmt.Errorf("the variable %.64q of the environment, which its address names, is not set", name)
		}
		return value
	})
	return text, missing
}
