package cache

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// Header is the field section of a stored response, immutable: all names and
// values in one string, with offsets, lines of one name next to each other.
type Header struct {
	text   string
	fields []field
}

// field is one line: the name from name to value, the value from value to the
// next line's name (or the end of the text).
type field struct{ name, value uint32 }

// MakeHeader copies h, with canonical names in alphabetical order, leaving out
// the fields that skip reports. skip may be nil.
func MakeHeader(h http.Header, skip func(name string) bool) Header {
	names := make([]string, 0, len(h))
	size, lines := 0, 0
	for name, values := range h {
		if skip != nil && skip(name) {
			continue
		}
		names = append(names, name)
		lines += len(values)
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	slices.Sort(names)
	var text strings.Builder
	text.Grow(size)
	fields := make([]field, 0, lines)
	for _, name := range names {
		for _, v := range h[name] {
			fields = append(fields, field{uint32(text.Len()), uint32(text.Len() + len(name))})
			text.WriteString(name)
			text.WriteString(v)
		}
	}
	return Header{text.String(), fields}
}

func (h *Header) line(i int) (name, value string) {
	f, end := h.fields[i], len(h.text)
	if i+1 < len(h.fields) {
		end = int(h.fields[i+1].name)
	}
	return h.text[f.name:f.value], h.text[f.value:end]
}

// Len is the number of lines.
func (h *Header) Len() int { return len(h.fields) }

// All yields the lines in order.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range h.fields {
			if !yield(h.line(i)) {
				return
			}
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
	m := make(http.Header, len(h.fields))
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
	b := &Block{Names: make([]string, 0, len(h.fields)), Values: make([][]string, 0, len(h.fields))}
	all := make([]string, 0, len(h.fields))
	for i := range h.fields {
		name, value := h.line(i)
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

// blockCost estimates what a Block of h weighs, so that it can be charged
// before it is made.
func (h *Header) blockCost() int64 { return int64(len(h.fields))*56 + 64 }
