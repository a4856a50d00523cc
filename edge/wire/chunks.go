package wire

// chunks follows a chunked body (RFC 9112 §7.1) byte by byte, without taking
// anything out of it. The zero value stands before the first chunk.
type chunks struct {
	at     chunkAt
	size   int64 // bytes of the chunk's data still to come
	digits int   // of the size
	line   int   // bytes of this line, and of all trailer lines
}

type chunkAt uint8

const (
	atSize     chunkAt = iota // the digits of a chunk's size
	atExt                     // its extensions
	atSizeLF                  // the line feed that ends its line
	atData                    // its data
	atDataCR                  // the line end behind the data
	atDataLF                  //
	atTrailer                 // the beginning of a trailer line
	atTrailerN                // its name
	atTrailerV                // its value
	atTrailerL                // its line feed
	atEndLF                   // the line feed of the empty line that ends the body
)

// scan follows p from its beginning. n is how much of it belongs to the body;
// done says that the body ends there; ok is false where it is malformed. Lines
// may have max bytes.
func (c *chunks) scan(p []byte, max int) (n int, done, ok bool) {
	for n < len(p) {
		if c.at == atData {
			k := min(c.size, int64(len(p)-n))
			n += int(k)
			if c.size -= k; c.size == 0 {
				c.at = atDataCR
			}
			continue
		}
		b := p[n]
		n++
		if c.line++; c.line > max {
			return n, false, false
		}
		switch c.at {
		case atSize:
			if v, hex := unhex(b); hex {
				if c.digits++; c.digits > 15 { // what follows fits an int64
					return n, false, false
				}
				c.size = c.size<<4 | int64(v)
				continue
			}
			if c.digits == 0 {
				return n, false, false
			}
			switch b {
			case ';':
				c.at = atExt
			case '\r':
				c.at = atSizeLF
			default:
				return n, false, false
			}
		case atExt:
			if b == '\r' {
				c.at = atSizeLF
			} else if b < ' ' && b != '\t' || b == 0x7f {
				return n, false, false
			}
		case atSizeLF:
			if b != '\n' {
				return n, false, false
			}
			c.digits, c.line = 0, 0
			if c.at = atData; c.size == 0 {
				c.at = atTrailer
			}
		case atDataCR:
			if b != '\r' {
				return n, false, false
			}
			c.at = atDataLF
		case atDataLF:
			if b != '\n' {
				return n, false, false
			}
			c.at, c.line = atSize, 0
		case atTrailer:
			if b == '\r' {
				c.at = atEndLF
			} else if tchar[b] {
				c.at = atTrailerN
			} else {
				return n, false, false
			}
		case atTrailerN:
			if b == ':' {
				c.at = atTrailerV
			} else if !tchar[b] {
				return n, false, false
			}
		case atTrailerV:
			if b == '\r' {
				c.at = atTrailerL
			} else if b < ' ' && b != '\t' || b == 0x7f {
				return n, false, false
			}
		case atTrailerL:
			if b != '\n' {
				return n, false, false
			}
			c.at = atTrailer
		case atEndLF:
			return n, b == '\n', b == '\n'
		}
	}
	return n, false, true
}

func unhex(b byte) (v byte, ok bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
