package memory

// heap is a minimum heap of jobs by (key, seq) in which each node has four
// children. A job is in one heap at most, and knows where in it.
type heap struct{ nodes []node }

type node struct {
	key int64 // a time in microseconds
	seq int64 // the job's order of enqueueing
	job *job
}

func (n *node) before(o *node) bool { return n.key < o.key || n.key == o.key && n.seq < o.seq }

func (h *heap) len() int { return len(h.nodes) }

func (h *heap) push(j *job, key int64) {
	j.heap = h
	h.nodes = append(h.nodes, node{})
	h.up(len(h.nodes)-1, node{key, j.seq, j})
}

// remove takes j out of the heap that it is in, if any.
func (j *job) remove() {
	h, at := j.heap, j.slot
	if h == nil {
		return
	}
	j.heap = nil
	end := len(h.nodes) - 1
	last := h.nodes[end]
	h.nodes[end] = node{}
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
	n.job.slot = at
}

// lanes is a minimum heap of heaps that are not empty, by their first job. It
// implements container/heap.Interface.
type lanes []*heap

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, k int) bool { return l[i].nodes[0].before(&l[k].nodes[0]) }
func (l lanes) Swap(i, k int)      { l[i], l[k] = l[k], l[i] }
func (l *lanes) Push(x any)        { *l = append(*l, x.(*heap)) }
func (l *lanes) Pop() any {
	last := len(*l) - 1
	h := (*l)[last]
	*l = (*l)[:last]
	return h
}
