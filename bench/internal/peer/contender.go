package peer

import (
	"context"
	"fmt"
	"slices"

	"github.com/gobellhop/bellhop/bench/internal/drill"
)

// Contender is one entry of the register: a product or hand-written program, at one choice of settings.
type Contender struct {
	// Name is unique: "river-default".
	Name string
	// Store is what it keeps its jobs in: "postgres", "mysql", "redis", "sqlite", "memory".
	Store string
	// Title is for tables: "River, defaults".
	Title string
	// Family groups the entries of one product: "river". Ours is "bellhop", the hand-written ones are "minimum".
	Family string
	// Module is the Go module whose version is printed; Version is for what is none.
	Module, Version string
	// Settings says in one line what was set.
	Settings string
	// Keeps says that finished jobs stay in the store.
	Keeps bool
	// Default says that the settings are the product's defaults.
	Default bool
	// Weaker says that it is less durable than the same product's other entry: what was committed may be lost with the machine.
	Weaker bool
	// DrainOnly says that only the drain is measured: other tasks are for the best of the family.
	DrainOnly bool
	// BulkCallers and BulkSize are its best for bulk enqueues.
	BulkCallers, BulkSize int
	// Program is the file of another language to run in place of this program; empty for Go.
	Program string
	// Open begins a session.
	Open func(ctx context.Context, o drill.Order) (Session, error)
}

var register []Contender

func add(list ...Contender) {
	for _, c := range list {
		if slices.ContainsFunc(register, func(r Contender) bool { return r.Name == c.Name && r.Store == c.Store }) {
			panic(fmt.Sprintf("contender %s on %s is there twice", c.Name, c.Store))
		}
		register = append(register, c)
	}
}

// All returns the register.
func All() []Contender { return slices.Clone(register) }

// Find returns the contender of a name on a store.
func Find(store, name string) (Contender, bool) {
	i := slices.IndexFunc(register, func(c Contender) bool { return c.Store == store && c.Name == name })
	if i < 0 {
		return Contender{}, false
	}
	return register[i], true
}

// KeepsNone reports whether the product cannot keep finished jobs: then its dropping entry is its best.
func (c Contender) KeepsNone() bool {
	return !slices.ContainsFunc(register, func(r Contender) bool { return r.Store == c.Store && r.Family == c.Family && r.Keeps && !r.Default })
}
