package cache

import (
	"encoding/binary"
	"iter"
	"math"
	"net/http"
	"slices"
	"unsafe"
)

// Header is the field section of a stored response, immutable: one string, and
// so one thing for the garbage collector to look at. Each line is the length of
// its name (2 bytes) and of its value (4 bytes), then both; lines of one name
// stand next to each other.
type Header struct {
	text  string
	lines int
}

// lengths is how many bytes stand before each line.
const lengths = 6

// MakeHeader copies h, with canonical names in alphabetical order, leaving out
// the fields that skip reports, and names longer than 65,535 bytes, which no
// limit lets through. skip may be nil.
func MakeHeader(h http.Header, skip func(name string) bool) Header {
	names := make([]string, 0, len(h))
	size := 0
	for name, values := range h {
		if len(name) > math.MaxUint16 || skip != nil && skip(name) {
			continue
		}
		names = append(names, name)
		for _, v := range values {
			size += lengths + len(name) + len(v)
		}
	}
	slices.Sort(names)
	text := make([]byte, 0, size)
	lines := 0
	for _, name := range names {
		for _, v := range h[name] {
			text = binary.BigEndian.AppendUint16(text, uint16(len(name)))
			text = binary.BigEndian.AppendUint32(text, uint32(len(v)))
			text = append(text, name...)
			text = append(text, v...)
			lines++
		}
	}
	return Header{unsafe.String(unsafe.SliceData(text), len(text)), lines} // nobody writes to text again
}

// All yields the lines in order.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for t := h.text; t != ""; {
			n := int(t[0])<<8 | int(t[1])
			v := int(t[2])<<24 | int(t[3])<<16 | int(t[4])<<8 | int(t[5])
			if !yield(t[lengths:lengths+n], t[lengths+n:lengths+n+v]) {
				return
			}
			t = t[lengths+n+v:]
		}
	}
}

// Get returns the value of the first line of a canonical name, "" without one.
func (h *Header) Get(name string) string {
	for n, v := range h.All() {
		if n == name {
			return v
		}
	}
	return ""
}

// HTTP returns the header as a map of its own.
func (h *Header) HTTP() http.Header {
	m := make(http.Header, h.lines)
	for n, v := range h.All() {
		m[n] = append(m[n], v)
	}
	return m
}

// Block is a header prepared for net/http: what a hit assigns to a response's
// header map. The slices are shared by all hits and have no spare capacity, so
// appending to one copies it.
type Block struct {
	Names  []string
	Values [][]string // Values[i] belongs to Names[i]
}

func (h *Header) block() *Block {
	b := &Block{Names: make([]string, 0, h.lines), Values: make([][]string, 0, h.lines)}
	all := make([]string, 0, h.lines)
	for name, value := range h.All() {
		all = append(all, value)
		if n := len(b.Names); n > 0 && b.Names[n-1] == name {
			first := len(all) - 1 - len(b.Values[n-1])
			b.Values[n-1] = all[first:len(all):len(all)]
			continue
		}
		b.Names = append(b.Names, name)
		b.Values = append(b.Values, all[len(all)-1:len(all):len(all)])
	}
	return b
}

// blockCost estimates what a Block of h and its lines of HTTP/1.1 weigh, so that
// they can be charged before they are made.
func (h *Header) blockCost() int64 { return int64(h.lines)*56 + 96 + int64(len(h.text)) }
