package partition

// Remembered is of how many processes the parts remember something.
func (s *Store) Remembered() (n int) {
	for _, p := range s.parts {
		p.mu.Lock()
		n += len(p.missed) + len(p.straying)
		p.mu.Unlock()
	}
	return n
}
