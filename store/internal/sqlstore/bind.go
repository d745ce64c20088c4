package sqlstore

import (
	"context"
	"fmt"

	"github.com/gobellhop/bellhop"
)

// Bind is what the Within functions of the stores have in common: it returns an enqueuer on what within makes of the client's store. If
// that is not one of type S, or there is no transaction, the enqueuer refuses everything and says why; name is the function's.
func Bind[S any](client *bellhop.Client, name string, isNil bool, within func(S) bellhop.TxStore) *bellhop.Bound {
	s, ok := bellhop.As[S](client.Store())
	switch {
	case !ok:
		return client.Bind(refusal{fmt.Errorf("%s: the client's store is %q: %w", name, client.Store().Capabilities().Name, bellhop.ErrUnsupported)})
	case isNil:
		return client.Bind(refusal{fmt.Errorf("%s: the transaction is nil", name)})
	}
	return client.Bind(within(s))
}

// refusal is a transaction in which nothing can be done.
type refusal struct{ err error }

// Enqueue implements [bellhop.TxStore].
func (r refusal) Enqueue(context.Context, *bellhop.EnqueueRequest) ([]bellhop.Receipt, error) {
	return nil, r.err
}

// Finish implements [bellhop.TxStore].
func (r refusal) Finish(context.Context, bellhop.Outcome) error { return r.err }
