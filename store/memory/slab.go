package memory

// ref names a job of the store: its place in the slab, counted from 1; 0 is
// none. The containers that hold every job hold refs, because the garbage
// collector need not follow them.
type ref uint32

const chunkSize = 33 // as many jobs as fill one of the sizes in which memory is given out

// slab is where the jobs are: in chunks that never move, so that a pointer to a
// job stays good until the job is given back.
type slab struct {
	chunks []*[chunkSize]job
	free   []ref
}

// at returns the job that r names; nil for 0.
func (s *slab) at(r ref) *job {
	if r == 0 {
		return nil
	}
	return &s.chunks[(r-1)/chunkSize][(r-1)%chunkSize]
}

// take returns an empty job.
func (s *slab) take() *job {
	if len(s.free) == 0 {
		s.chunks = append(s.chunks, new([chunkSize]job))
		end := ref(len(s.chunks) * chunkSize)
		for r := end; r > end-chunkSize; r-- {
			s.free = append(s.free, r)
		}
	}
	last := len(s.free) - 1
	r := s.free[last]
	s.free = s.free[:last]
	j := s.at(r)
	j.self = r
	return j
}

// give takes a job back: its memory is for the next.
func (s *slab) give(j *job) {
	s.free = append(s.free, j.self)
	*j = job{}
}
