package main

import (
	"encoding/binary"
	"fmt"
	"io"
)

// demoBytes is a file of that many bytes which exists nowhere: every byte
// follows from its offset, so that any range of it can be made and checked
// without holding the rest.
type demoBytes int64

// etag is a strong entity tag: the content is a function of the length.
func (d demoBytes) etag() string { return fmt.Sprintf(`"formula-%d"`, int64(d)) }

// section reads n bytes from off on.
func (d demoBytes) section(off, n int64) *io.SectionReader { return io.NewSectionReader(d, off, n) }

// ReadAt makes the bytes from off on (io.ReaderAt).
func (d demoBytes) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("demo file: offset %d is negative", off)
	}
	if off >= int64(d) {
		return 0, io.EOF
	}
	if rest := int64(d) - off; int64(len(p)) > rest {
		p, err = p[:rest], io.EOF
	}
	var word [8]byte
	for n < len(p) {
		at := uint64(off) + uint64(n)
		w := splitmix(at / 8)
		if at%8 == 0 && len(p)-n >= 8 { // the many
			binary.LittleEndian.PutUint64(p[n:], w)
			n += 8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], w)
		n += copy(p[n:], word[at%8:])
	}
	return n, err
}

// splitmix is the output function of SplitMix64 (Steele, Lea, Flood 2014): it makes
// consecutive numbers look random, so that no two parts of the file are alike.
func splitmix(x uint64) uint64 {
	x = (x + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
