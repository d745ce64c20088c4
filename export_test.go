package bellhop

// Senders returns how many goroutines a client of one part counts as sending what waits.
func Senders(c *Client) int {
	b := c.batchers.parts[0]
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.active
}
