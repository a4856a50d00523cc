package cachekey

import (
	"encoding/binary"
	"net/http"
	"strings"
)

// Normalise says how far request fields are normalised before variants are
// compared. The zero value does what changes no meaning.
type Normalise struct {
	// Languages orders Accept-Language by preference, so that `en, de` and
	// `de, en` are one variant, and `de;q=0.9, en;q=0.1` is `de, en;q=0.5`. Off
	// by default: to some origins the order at equal weight means something.
	Languages bool
}

// AppendVariant appends to dst the key of the variant that the request fields h
// select, among responses that vary by fields (from policy.ParseVary:
// canonical, sorted, each once). RFC 9111 §4.1: lines are joined by commas and
// white space round commas and at the ends dropped, but not within quotes; a
// field that is absent differs from one that is empty. Accept-Language is lower
// case (tags have no case, RFC 5646 §2.1.1).
//
// Accept-Encoding becomes the set of codings that we know, AcceptEncoding. So
// the edge must send the origin AcceptEncoding(…).String() and not the client's
// own line: else a coding that is not in the key (deflate) would be stored for
// clients that never asked for it.
//
// It allocates only when dst has no room, and with Normalise.Languages for
// more than 16 languages. No two different selections give the same bytes.
func AppendVariant(dst []byte, fields []string, h http.Header, n Normalise) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(fields)))
	for _, name := range fields {
		dst = appendString(dst, name)
		dst = appendField(dst, name, h[name], n)
	}
	return dst
}

// appendField appends one normalised field: absent, or present with its value.
func appendField(dst []byte, name string, lines []string, n Normalise) []byte {
	switch {
	case name == "Accept-Encoding":
		// Absent (any coding will do) is one set with "identity": what suits
		// the one suits the other, and half as many variants are stored.
		dst = append(dst, fieldPresent)
		return appendString(dst, AcceptEncoding(lines).String())
	case len(lines) == 0:
		return append(dst, fieldAbsent)
	}
	kind := len(dst)
	dst = append(dst, fieldPresent)
	// The length stands before the value and is known only after it: write the
	// value behind two bytes of room, enough for 16383, and move it if needed.
	start := len(dst)
	dst = append(dst, 0, 0)
	if name == "Accept-Language" && n.Languages {
		if ordered, ok := appendLanguages(dst, lines); ok {
			ordered[kind] = fieldOrdered
			return fixLength(ordered, start)
		}
	}
	if name == "Cookie" {
		for i, line := range lines { // RFC 9113 §8.2.3 joins crumbs so
			if i > 0 {
				dst = append(dst, "; "...)
			}
			dst = append(dst, trimOWS(line)...)
		}
	} else {
		dst = appendJoined(dst, lines, name == "Accept-Language")
	}
	return fixLength(dst, start)
}

// fixLength writes the length of dst[start+2:] as a uvarint at start.
func fixLength(dst []byte, start int) []byte {
	n := len(dst) - start - 2
	var buf [binary.MaxVarintLen64]byte
	w := binary.PutUvarint(buf[:], uint64(n))
	if w > 2 {
		dst = append(dst, buf[2:w]...) // room only; the value moves over it
	}
	copy(dst[start+w:], dst[start+2:start+2+n])
	copy(dst[start:], buf[:w])
	return dst[:start+w+n]
}

// appendJoined joins lines by "," and drops white space at commas and ends,
// outside of quoted strings.
func appendJoined(dst []byte, lines []string, lower bool) []byte {
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, ',')
		}
		line = trimOWS(line)
		quoted, escaped := false, false
		for j := 0; j < len(line); j++ {
			c := line[j]
			if quoted {
				quoted = escaped || c != '"'
				escaped = !escaped && c == '\\'
				dst = append(dst, c)
				continue
			}
			switch {
			case c == '"':
				quoted = true
			case c == ' ' || c == '\t':
				// Dropped if the next byte that is not white space is a comma,
				// or the last one written is.
				k := j + 1
				for k < len(line) && (line[k] == ' ' || line[k] == '\t') {
					k++
				}
				if line[k] == ',' || j > 0 && line[j-1] == ',' {
					j = k - 1
					continue
				}
				dst = append(dst, line[j:k]...)
				j = k - 1
				continue
			case lower && 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			}
			dst = append(dst, c)
		}
	}
	return dst
}

// appendLanguages appends the accepted languages, the dearest first: "=" joins
// those of equal weight, in alphabetical order, and "," stands between weights.
// Those of weight 0 come last, behind "!". ok is false, and dst unchanged within
// its length, when a member is not a language range with a good weight: what we
// cannot read we do not reorder.
func appendLanguages(dst []byte, lines []string) (ordered []byte, ok bool) {
	type language struct {
		tag    string
		weight int // thousandths
	}
	var room [16]language
	langs := room[:0]
	for _, line := range lines {
		for more := true; more; {
			var member string
			member, line, more = strings.Cut(line, ",")
			if member = trimOWS(member); member == "" {
				continue
			}
			tag, weight := weighted(member)
			if weight < 0 || !isLanguageRange(tag) {
				return dst, false
			}
			langs = append(langs, language{tag, weight})
		}
	}
	// Insertion sort: a handful of members, and no allocation.
	if len(langs) > maxLanguages {
		return dst, false
	}
	for i := 1; i < len(langs); i++ {
		for j := i; j > 0; j-- {
			a, b := &langs[j-1], &langs[j]
			if a.weight > b.weight || a.weight == b.weight && compareFold(a.tag, b.tag) <= 0 {
				break
			}
			*a, *b = *b, *a
		}
	}
	for i, l := range langs {
		switch {
		case l.weight == 0 && (i == 0 || langs[i-1].weight != 0):
			dst = append(dst, '!')
		case i == 0:
		case langs[i-1].weight == l.weight:
			dst = append(dst, '=')
		default:
			dst = append(dst, ',')
		}
		for j := range len(l.tag) {
			dst = append(dst, lowerByte(l.tag[j]))
		}
	}
	return dst, true
}

// maxLanguages bounds the insertion sort; a client with more is keyed by what it
// sent.
const maxLanguages = 64

// isLanguageRange is a loose RFC 4647 §2.1: letters, digits, "-" and "*".
func isLanguageRange(s string) bool {
	for i := range len(s) {
		c := lowerByte(s[i])
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '*') {
			return false
		}
	}
	return s != ""
}
