// Package accesslog writes one JSON line for each answered request, off the request's path.
//
// Put encodes a Record and hands the line to one writing goroutine. It never waits for the file: a Log holds a bounded
// number of lines (and bytes), and when these are full, because the disk or the pipe behind it is slow, full or gone, Put
// drops the line and counts it.
//
//	Put → encode in a pooled buffer → copy into pending (a mutex held for the copy, never for I/O)
//	                                       ↓ swapped for an empty one
//	                                  writer: one Write for many lines; an error is counted and retried
package accesslog
