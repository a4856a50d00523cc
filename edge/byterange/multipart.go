package byterange

import (
	"encoding/hex"
	"strings"
)

// Segment is a piece of a multipart body: the literal bytes, or if Literal is
// nil the bytes of Range of the representation.
type Segment struct {
	Literal []byte
	Range   Range
}

// Multipart is a multipart/byteranges body (RFC 9110 §14.6) laid out ahead, so
// that its length is known before a byte is sent.
type Multipart struct {
	ContentType string // of the response, with the boundary
	Length      int64  // of the body, in bytes
	Segments    []Segment
}

// NewMultipart lays out the ranges of a representation of size bytes, each as a
// part of contentType ("" if the representation has none). random makes the
// boundary: take it from crypto/rand for each response, so that no content can
// hold it. A contentType with control bytes, which could forge a part, is left
// out. The caller owns the result.
func NewMultipart(random [16]byte, contentType string, size int64, ranges []Range) Multipart {
	boundary := hex.EncodeToString(random[:])
	m := Multipart{
		ContentType: "multipart/byteranges; boundary=" + boundary,
		Segments:    make([]Segment, 0, 2*len(ranges)+1),
	}
	if strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		contentType = ""
	}
	for i, r := range ranges {
		var head []byte
		if i > 0 {
			head = append(head, "\r\n"...)
		}
		head = append(head, "--"+boundary+"\r\n"...)
		if contentType != "" {
			head = append(head, "Content-Type: "+contentType+"\r\n"...)
		}
		head = append(head, "Content-Range: "...)
		head = AppendContentRange(head, r, size)
		head = append(head, "\r\n\r\n"...)
		m.Segments = append(m.Segments, Segment{Literal: head}, Segment{Range: r})
		m.Length += int64(len(head)) + r.Len()
	}
	end := []byte("\r\n--" + boundary + "--\r\n")
	m.Segments = append(m.Segments, Segment{Literal: end})
	m.Length += int64(len(end))
	return m
}
