package cachekey

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
)

// Key is the full bytes of a cache key as Shape.Append made them, in the form
// in which the store keeps and compares them (string(b) == k does not
// allocate).
type Key string

// Shape says what a site's key is made of. Host, path and query are always in
// it and cannot be taken out. Immutable once in use.
type Shape struct {
	Gen     uint32   // generation of the site's key shape; never reused, not even by a roll-back
	Scheme  bool     // the scheme is part of the key
	Headers []string // request fields in the key, canonical names, each at most once
	Cookies []string // cookies in the key, by exact name, each at most once

	// Branch tells apart requests that rules send different ways by facts that
	// are not in the key (rule.Actions.Branch). 0 when there is no such rule.
	Branch uint64
}

// The layout of a key. Integers are uvarints, strings are length and bytes.
//
//	gen  flags  [scheme]  host  path  query  [branch]
//	[count { name field }]   fields
//	[count { name values }]  cookies; values = count { value }
//
// field is one byte that says whether it is there, and if so the value. A flag says
// which optional parts follow, so the bytes read back one way only (decodeKey
// does, and the property tests hold it to that).
const (
	flagScheme = 1 << iota
	flagBranch
	flagHeaders
	flagCookies
)

const (
	fieldAbsent  = 0
	fieldPresent = 1
	fieldOrdered = 2 // present, in the order of preference; in variants only
)

// Append appends the key of a request to dst and returns the longer slice. It
// allocates only when dst has no room. host and path must come from Host and
// Path and query from Query.Apply, or one resource has many keys. No two
// different inputs give the same bytes; fields are compared as in
// AppendVariant.
func (s *Shape) Append(dst []byte, scheme, host, path, query string, h http.Header) []byte {
	var flags byte
	if s.Scheme {
		flags |= flagScheme
	}
	if s.Branch != 0 {
		flags |= flagBranch
	}
	if len(s.Headers) > 0 {
		flags |= flagHeaders
	}
	if len(s.Cookies) > 0 {
		flags |= flagCookies
	}
	dst = binary.AppendUvarint(dst, uint64(s.Gen))
	dst = append(dst, flags)
	if s.Scheme {
		dst = appendString(dst, scheme)
	}
	dst = appendString(dst, host)
	dst = appendString(dst, path)
	dst = appendString(dst, query)
	if s.Branch != 0 {
		dst = binary.AppendUvarint(dst, s.Branch)
	}
	if len(s.Headers) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(s.Headers)))
		for _, name := range s.Headers {
			dst = appendString(dst, name)
			dst = appendField(dst, name, h[name], Normalise{})
		}
	}
	if len(s.Cookies) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(s.Cookies)))
		for _, name := range s.Cookies {
			dst = appendString(dst, name)
			dst = appendCookies(dst, name, h)
		}
	}
	return dst
}

// appendCookies appends all values of a cookie in order: servers differ in
// which of two they take, so a response may depend on any.
func appendCookies(dst []byte, name string, h http.Header) []byte {
	n := 0
	EachCookie(h, func(k, _ string) bool {
		if k == name {
			n++
		}
		return true
	})
	dst = binary.AppendUvarint(dst, uint64(n))
	EachCookie(h, func(k, v string) bool {
		if k == name {
			dst = appendString(dst, v)
		}
		return true
	})
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// keyParts is a key read back.
type keyParts struct {
	gen                       uint64
	hasScheme                 bool
	scheme, host, path, query string
	branch                    uint64
	fields                    []keyField
	cookies                   []keyCookie
}

type keyField struct {
	name, value string
	present     bool
}

type keyCookie struct {
	name   string
	values []string
}

// decodeKey reads a key back; ok is false for bytes that Append cannot make.
func decodeKey(k Key) (p keyParts, ok bool) {
	r := keyReader{b: string(k), ok: true}
	p.gen = r.uvarint()
	flags := r.byte()
	if flags&flagScheme != 0 {
		p.hasScheme, p.scheme = true, r.string()
	}
	p.host, p.path, p.query = r.string(), r.string(), r.string()
	if flags&flagBranch != 0 {
		p.branch = r.uvarint()
	}
	if flags&flagHeaders != 0 {
		for n := r.uvarint(); n > 0 && r.ok; n-- {
			f := keyField{name: r.string()}
			if f.present = r.byte() == fieldPresent; f.present {
				f.value = r.string()
			}
			p.fields = append(p.fields, f)
		}
	}
	if flags&flagCookies != 0 {
		for n := r.uvarint(); n > 0 && r.ok; n-- {
			c := keyCookie{name: r.string()}
			for m := r.uvarint(); m > 0 && r.ok; m-- {
				c.values = append(c.values, r.string())
			}
			p.cookies = append(p.cookies, c)
		}
	}
	return p, r.ok && r.b == ""
}

// keyReader takes a key apart; after the first mistake ok is false and every
// read gives zero.
type keyReader struct {
	b  string
	ok bool
}

func (r *keyReader) fail() { r.b, r.ok = "", false }

func (r *keyReader) byte() byte {
	if r.b == "" {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *keyReader) uvarint() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
	}
	r.fail()
	return 0
}

func (r *keyReader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

// String renders the key for people (`levee explain`, logs), for example
// `https://www.example.com/a?b=1 gen=3 X-Lang="de" cookie:ab=["2"]`. It is not
// a format to parse. A key without scheme begins with "//".
func (k Key) String() string {
	p, ok := decodeKey(k)
	if !ok {
		return fmt.Sprintf("malformed key %q", string(k))
	}
	var b strings.Builder
	if p.hasScheme {
		b.WriteString(p.scheme + ":")
	}
	b.WriteString("//" + p.host + p.path)
	if p.query != "" {
		b.WriteString("?" + p.query)
	}
	fmt.Fprintf(&b, " gen=%d", p.gen)
	if p.branch != 0 {
		fmt.Fprintf(&b, " branch=%x", p.branch)
	}
	for _, f := range p.fields {
		if f.present {
			fmt.Fprintf(&b, " %s=%q", f.name, f.value)
		} else {
			fmt.Fprintf(&b, " %s absent", f.name)
		}
	}
	for _, c := range p.cookies {
		fmt.Fprintf(&b, " cookie:%s=%q", c.name, c.values)
	}
	return b.String()
}
