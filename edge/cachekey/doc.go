// Package cachekey makes the cache key of a request and the key of a variant
// (RFC 9111 §2, §4.1), out of a host, a path and a query that it normalises
// first.
//
// Whatever is normalised here is what the edge matches rules on, keys by and
// forwards to the origin. So nothing can be matched as one thing, stored as
// another and fetched as a third: that gap is what cache poisoning and cache
// deception live on.
//
// A key is unambiguous: every part carries its length, so no two different
// inputs give the same bytes. Keys are compared in full, never by hash alone.
//
// Everything is a pure function, safe for concurrent use. Input that is normal
// already is returned as it came, without allocating.
package cachekey
