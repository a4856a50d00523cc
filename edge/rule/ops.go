package rule

import "net/http"

// Ops are header operations in the order of the rules; the zero value is none.
type Ops struct {
	lists [4][]headerOp // of the first rules that have any, without allocating
	n     int
	more  []headerOp
}

// headerOp is a compiled HeaderOp. lines holds its value, made once.
type headerOp struct {
	op    Op
	name  string
	lines []string
}

// push adds one rule's operations behind the others.
func (o *Ops) push(ops []headerOp) {
	switch {
	case len(ops) == 0:
	case o.n < len(o.lists):
		o.lists[o.n] = ops
		o.n++
	default:
		o.more = append(o.more, ops...)
	}
}

// Len is the number of operations.
func (o *Ops) Len() int {
	n := len(o.more)
	for _, list := range o.lists[:o.n] {
		n += len(list)
	}
	return n
}

// Apply does the operations on h, in order. A line that is set is shared by all
// requests: lines of h may be replaced or appended to, never changed in place.
func (o *Ops) Apply(h http.Header) {
	for _, list := range o.lists[:o.n] {
		applyOps(list, h)
	}
	applyOps(o.more, h)
}

func applyOps(ops []headerOp, h http.Header) {
	for i := range ops {
		switch op := &ops[i]; op.op {
		case OpSet:
			h[op.name] = op.lines
		case OpAdd:
			// Clipped: h may share its lines with a stored response.
			lines := h[op.name]
			h[op.name] = append(lines[:len(lines):len(lines)], op.lines...)
		case OpRemove:
			delete(h, op.name)
		}
	}
}
