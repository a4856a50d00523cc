package byterange

import (
	"strings"
	"time"

	"levee/edge/policy"
)

// IfRange reports whether the Range field of a request counts, given the value
// of its If-Range ("" if it has none: then it does) and the ETag, Last-Modified
// ("" each if absent) and Date (zero if unknown) of the response (RFC 9110
// §13.1.5). Entity tags are compared strongly. A date must be that of
// Last-Modified exactly, and Last-Modified a strong validator: at least a
// second before Date (§8.8.2.2). If false, send the whole.
func IfRange(header, etag, lastModified string, date time.Time) bool {
	header = trimOWS(header)
	switch {
	case header == "":
		return true
	case strings.HasPrefix(header, `"`):
		return len(header) >= 2 && header == etag && strings.IndexByte(header[1:], '"') == len(header)-2
	case strings.HasPrefix(header, "W/"), lastModified == "", date.IsZero():
		return false
	}
	want, ok := policy.ParseDate(header, date)
	if !ok {
		return false
	}
	have, ok := policy.ParseDate(lastModified, date)
	return ok && have.Equal(want) && date.Sub(have) >= time.Second
}
