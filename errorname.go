package bellhop

import "errors"

// errorNames are the errors that the catalogue in docs/errors.md explains, the
// more telling first: an error may match several.
var errorNames = []struct {
	err  error
	name string
}{
	{ErrStale, "stale"},
	{ErrIDTaken, "id-taken"},
	{ErrNotFound, "not-found"},
	{ErrProcessGone, "process-gone"},
	{ErrSchemaNewer, "schema-newer"},
	{ErrSchemaOlder, "schema-older"},
	{ErrDeferredTx, "deferred-tx"},
	{ErrRetryTx, "retry-tx"},
	{ErrUnknown, "unknown"},
	{ErrSpans, "spans"},
	{ErrConflict, "conflict"},
	{ErrUnsupported, "unsupported"},
	{ErrClosed, "closed"},
	{ErrBadID, "bad-id"},
	{ErrNotCommitted, "not-committed"},
	{ErrLocked, "locked"},
	{ErrUnavailable, "unavailable"},
	{ErrInvalid, "invalid"},
	{ErrShutdown, "shutdown"},
	{ErrTimeout, "timeout"},
	{ErrCancelled, "cancelled"},
	{ErrLeaseLost, "lease-lost"},
	{ErrUnchanged, "unchanged"},
}

// ErrorName returns the name under which the catalogue of errors
// (docs/errors.md, `bellhop explain`) has an entry for err: "unavailable",
// "schema-older". It is empty for nil and for errors that are not ours.
func ErrorName(err error) string {
	for _, known := range errorNames {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	return ""
}
