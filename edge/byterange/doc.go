// Package byterange is range requests on bytes (RFC 9110 §14): what a Range
// field asks for, whether If-Range lets it count, Content-Range, and the layout
// of a multipart/byteranges body. Pure functions, safe for concurrent use.
//
// A range set can ask for many times the representation (CVE-2011-3192), so
// that it is ignored, and the whole sent, when it has more than MaxRanges
// members or asks in sum for more bytes than there are; overlapping and touching
// ranges become one.
package byterange
