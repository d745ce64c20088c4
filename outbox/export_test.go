package outbox

import "context"

// LookSQL returns the statement by which a relay finds what waits; its parameter is the number behind which it looks.
func (o *Outbox) LookSQL(limit int) string { return o.look(limit) }

// Idle does what a relay does when it has found nothing to move.
func (r *Relay) Idle(ctx context.Context) { r.idle(ctx) }
