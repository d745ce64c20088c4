package bulk

import "context"

// TakeOver looks for abandoned operations at once.
func (r *Runner) TakeOver(ctx context.Context) error { return r.takeOver(ctx) }

// Rush makes the runner leave the store no rest. It is called before the first operation.
func (r *Runner) Rush() { r.pace = 0 }

// Decode reads a record.
var Decode = decode
