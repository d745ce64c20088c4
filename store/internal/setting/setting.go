// Package setting checks the parameters of the addresses by which stores are
// opened, so that a wrong one is refused in the same words by every store before
// any job passes through it. The caller names the parameter.
package setting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Among returns nil if value is one of those allowed, else an error that lists them.
func Among(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("want %s", strings.Join(allowed, ", "))
	}
	return nil
}

// Number reads a whole number from low to high, both included, and returns an
// error that names the bounds if value is not one.
func Number(value string, low, high int, into *int) (err error) {
	*into, err = strconv.Atoi(value)
	if err != nil || *into < low || *into > high {
		return fmt.Errorf("want a whole number from %d to %d", low, high)
	}
	return nil
}
