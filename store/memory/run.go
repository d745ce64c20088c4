package memory

const pieceSize = 64

// run is a queue of nodes. It is kept in pieces, so that it grows and shrinks
// without being copied. A place in it counts all nodes that have ever stood there.
type run struct {
	pieces    []*[pieceSize]node
	base      int // the place at which pieces begin
	head, end int // the run itself; it never begins with a hole
	holes     int // nodes without a job
}

func (r *run) empty() bool { return r.head == r.end }

// at returns the node at a place that is in the run.
func (r *run) at(place int) *node {
	i := uint(place - r.base)
	return &r.pieces[i/pieceSize][i%pieceSize]
}

// first and last return the ends of a run that is not empty.
func (r *run) first() *node { return r.at(r.head) }
func (r *run) last() *node  { return r.at(r.end - 1) }

// push adds a node at the end, and returns its place.
func (r *run) push(n node) (place int) {
	if r.end-r.base == len(r.pieces)*pieceSize {
		r.pieces = append(r.pieces, new([pieceSize]node))
	}
	place = r.end
	r.end++
	*r.at(place) = n
	return place
}

// remove takes the node at a place out. Pieces that the run has left behind are
// freed, and holes are closed when they are most of it, because jobs have left
// from behind one that stays.
func (r *run) remove(place int, jobs *slab) {
	r.at(place).job = 0
	r.holes++
	for r.head < r.end && r.first().job == 0 {
		r.head++
		r.holes--
	}
	for r.head-r.base >= pieceSize {
		r.pieces[0] = nil
		r.pieces = r.pieces[1:]
		r.base += pieceSize
	}
	if r.holes > pieceSize && r.holes > (r.end-r.head)/2 {
		r.squeeze(jobs)
	}
}

// squeeze closes the holes.
func (r *run) squeeze(jobs *slab) {
	end := r.head
	for place := r.head; place < r.end; place++ {
		if n := *r.at(place); n.job != 0 {
			*r.at(end) = n
			jobs.at(n.job).slot = -1 - end
			end++
		}
	}
	r.end, r.holes = end, 0
	used := (end - r.base + pieceSize - 1) / pieceSize
	clear(r.pieces[used:])
	r.pieces = r.pieces[:used]
}
