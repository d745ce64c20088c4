package outbox

// LookSQL returns the statement by which a relay finds what waits; its parameter is the number behind which it looks.
func (o *Outbox) LookSQL(limit int) string { return o.look(limit) }
