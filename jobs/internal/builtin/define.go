package builtin

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/gobellhop/bellhop"
)

// Arguments are the arguments of a built-in kind.
type Arguments interface {
	// Check returns one line that names the member that is wrong; nil if all is well.
	Check() error
}

// Define makes a definition whose attempts are bounded by timeout, and whose arguments are read strictly and checked before they
// are enqueued; opts come after that. It panics if an option is not for definitions.
func Define[T Arguments](kind string, timeout time.Duration, opts ...bellhop.Option) *bellhop.Definition[T] {
	check := func(a T) error { return a.Check() }
	defaults := []bellhop.Option{bellhop.Timeout(timeout), bellhop.Check(check), bellhop.WithCodec(strict{})}
	return bellhop.Define[T](kind, append(defaults, opts...)...)
}

// strict is encoding/json that refuses members it does not know: work of which a part was misspelt is other work than what was
// meant.
type strict struct{}

func (strict) Encode(v any) ([]byte, error) { return json.Marshal(v) }

func (strict) Decode(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
