package partition

import "time"

// WaitForParts has all calls wait for a slow part for as long as ctx allows. For a store that is not in use yet.
func (s *Store) WaitForParts() {
	s.patience = patience{exchange: time.Hour, out: time.Hour, duty: forEver, beat: forEver}
}

// WaitWithBeats has beats alone do so.
func (s *Store) WaitWithBeats() { s.patience.beat = forEver }

// Remembered is of how many processes the parts remember something.
func (s *Store) Remembered() (n int) {
	for _, p := range s.parts {
		p.mu.Lock()
		n += len(p.missed) + len(p.straying)
		p.mu.Unlock()
	}
	return n
}
