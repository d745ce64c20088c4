package memory

// heap holds jobs and gives the least first, by (key, seq). Most jobs come in
// order: they stand in a sorted run, which is a mere queue. Those that do not,
// such as a job that is handed back into its old turn, are in a minimum heap in
// which each node has four children. A job is in one heap at most, and knows where in it.
type heap struct {
	jobs  *slab
	run   run // sorted
	nodes []node
	count int
}

type node struct {
	key int64 // a time in microseconds
	seq int64 // the job's order of enqueueing
	job ref
}

func (n *node) before(o *node) bool { return n.key < o.key || n.key == o.key && n.seq < o.seq }

func (h *heap) len() int { return h.count }

// least returns the node of the first job. The heap must not be empty.
func (h *heap) least() *node {
	if h.run.empty() || len(h.nodes) > 0 && h.nodes[0].before(h.run.first()) {
		return &h.nodes[0]
	}
	return h.run.first()
}

// first returns the first job. The heap must not be empty.
func (h *heap) first() *job { return h.jobs.at(h.least().job) }

// all calls yield for each job, in no order.
func (h *heap) all(yield func(*job) bool) {
	for place := h.run.head; place < h.run.end; place++ {
		if n := h.run.at(place); n.job != 0 && !yield(h.jobs.at(n.job)) {
			return
		}
	}
	for _, n := range h.nodes {
		if !yield(h.jobs.at(n.job)) {
			return
		}
	}
}

func (h *heap) push(j *job, key int64) {
	n := node{key, j.seq, j.self}
	j.heap = h
	h.count++
	if h.run.empty() || !n.before(h.run.last()) {
		j.slot = -1 - h.run.push(n)
		return
	}
	h.nodes = append(h.nodes, node{})
	h.up(len(h.nodes)-1, n)
}

// remove takes j out of the heap that it is in, if any.
func (j *job) remove() {
	h := j.heap
	if h == nil {
		return
	}
	j.heap = nil
	h.count--
	if j.slot < 0 {
		h.run.remove(-1-j.slot, h.jobs)
		return
	}
	at, end := j.slot, len(h.nodes)-1
	last := h.nodes[end]
	h.nodes = h.nodes[:end]
	if at == end {
		return
	}
	if at > 0 && last.before(&h.nodes[(at-1)/4]) {
		h.up(at, last)
	} else {
		h.down(at, last)
	}
}

// up puts n at the free place at, or above it.
func (h *heap) up(at int, n node) {
	for at > 0 {
		parent := (at - 1) / 4
		if !n.before(&h.nodes[parent]) {
			break
		}
		h.set(at, h.nodes[parent])
		at = parent
	}
	h.set(at, n)
}

// down puts n at the free place at, or below it.
func (h *heap) down(at int, n node) {
	for {
		first := 4*at + 1
		if first >= len(h.nodes) {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, len(h.nodes)); child++ {
			if h.nodes[child].before(&h.nodes[least]) {
				least = child
			}
		}
		if !h.nodes[least].before(&n) {
			break
		}
		h.set(at, h.nodes[least])
		at = least
	}
	h.set(at, n)
}

func (h *heap) set(at int, n node) {
	h.nodes[at] = n
	h.jobs.at(n.job).slot = at
}

// lanes is a minimum heap of heaps that are not empty, by their first job. It
// implements container/heap.Interface.
type lanes []*heap

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, k int) bool { return l[i].least().before(l[k].least()) }
func (l lanes) Swap(i, k int)      { l[i], l[k] = l[k], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(*heap)) }
func (l *lanes) Pop() any {
	last := len(*l) - 1
	h := (*l)[last]
	*l = (*l)[:last]
	return h
}
