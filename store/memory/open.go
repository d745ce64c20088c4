package memory

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
)

func init() { bellhop.Register("memory", open) }

// open makes a new, empty store for each address "memory:".
func open(_ context.Context, address string) (bellhop.Store, error) {
	if address != "memory:" && address != "memory://" {
		return nil, fmt.Errorf("a memory store has no place: write %q and nothing more", "memory:")
	}
	return New(), nil
}
