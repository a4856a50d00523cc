package rule

import (
	"fmt"
	"strings"
)

// Target is a compiled Redirect.
type Target struct {
	Status int
	parts  []part
}

// part is a literal, or what a placeholder stands for.
type part struct {
	kind    partKind
	literal string
}

type partKind uint8

const (
	partLiteral partKind = iota
	partHost
	partPath
	partQuery
)

// Location is the value of the Location field for a request. Whatever the
// request holds, it has no control or non-ASCII byte and no space, and it leads
// to no other host than To says: a path of "//evil" stays a path.
func (t *Target) Location(f *Facts) string {
	b := make([]byte, 0, 128)
	last := len(t.parts) - 1
	for i, p := range t.parts {
		switch p.kind {
		case partHost:
			b = appendSafe(b, f.Host)
		case partPath:
			b = appendSafe(b, f.Path)
		case partQuery:
			b = appendSafe(b, f.Query)
		case partLiteral:
			literal := p.literal
			if f.Query == "" && i+1 == last && t.parts[last].kind == partQuery {
				literal = strings.TrimRight(literal, "?&")
			}
			b = append(b, literal...)
		}
	}
	if len(b) > 1 && b[0] == '/' && b[1] == '/' {
		return "/." + string(b) // RFC 3986 §4.2: else it would be an authority
	}
	return string(b)
}

// appendSafe appends s with everything escaped that could end the field, or
// that a browser reads as something else in a URL: it takes "\" for "/".
func appendSafe(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c >= 0x7f, c == '"', c == '<', c == '>', c == '\\', c == '#':
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// compileTarget checks and compiles a Redirect.
func compileTarget(r *Redirect) (*Target, error) {
	t := &Target{Status: r.Status}
	switch t.Status {
	case 0:
		t.Status = 302
	case 301, 302, 303, 307, 308:
	default:
		return nil, fmt.Errorf("redirect status %d: write 301, 302, 303, 307 or 308", r.Status)
	}
	for rest := r.To; rest != ""; {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			open = len(rest)
		}
		if open > 0 {
			t.parts = append(t.parts, part{literal: rest[:open]})
			rest = rest[open:]
			continue
		}
		name, after, closed := strings.Cut(rest[1:], "}")
		kind, known := map[string]partKind{"host": partHost, "path": partPath, "query": partQuery}[name]
		if !closed || !known {
			return nil, fmt.Errorf("redirect to %q: write {host}, {path} or {query}, no other brace", r.To)
		}
		t.parts = append(t.parts, part{kind: kind})
		rest = after
	}
	for i := range len(r.To) {
		if c := r.To[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return nil, fmt.Errorf("redirect to %q: it holds byte 0x%02x; write it percent-encoded", r.To, c)
		}
	}
	return t, t.checkHost(r.To)
}

// checkHost makes sure that the place the redirect leads to is the operator's
// choice and not the request's.
func (t *Target) checkHost(to string) error {
	if len(t.parts) == 0 {
		return fmt.Errorf("redirect to nowhere: write a URL, as https://www.example.com{path}")
	}
	first := t.parts[0]
	if first.kind == partPath {
		return nil
	}
	scheme, rest, absolute := strings.Cut(first.literal, "://")
	switch {
	case first.kind == partLiteral && absolute && (scheme == "http" || scheme == "https"):
	case first.kind == partLiteral && strings.HasPrefix(first.literal, "/") && !strings.HasPrefix(first.literal, "//"):
		// "/" and then {path} would be "//…", an authority.
		if first.literal == "/" && len(t.parts) > 1 && t.parts[1].kind != partLiteral {
			return fmt.Errorf("redirect to %q: it may lead to another host; write {path} without \"/\" before it, and a word before {query}", to)
		}
		return nil
	default:
		return fmt.Errorf("redirect to %q: begin with https://, http://, \"/\" or {path}", to)
	}
	// Follow the authority to its end: only literals and {host} may be in it.
	empty := true
	for i, p := range t.parts {
		literal := p.literal
		if i == 0 {
			literal = rest
		}
		switch p.kind {
		case partHost:
			empty = false
		case partQuery:
			return fmt.Errorf("redirect to %q: write a \"/\" or \"?\" before {query}, else it becomes a part of the host", to)
		case partPath:
			if empty {
				return fmt.Errorf("redirect to %q: write a host before {path}", to)
			}
			return nil
		case partLiteral:
			end := strings.IndexAny(literal, "/?#")
			authority := literal
			if end >= 0 {
				authority = literal[:end]
			}
			if strings.Contains(authority, "@") {
				return fmt.Errorf("redirect to %q: leave out the user before the \"@\"", to)
			}
			empty = empty && authority == ""
			if end >= 0 && empty {
				return fmt.Errorf("redirect to %q: write a host after %s://", to, scheme)
			}
			if end >= 0 {
				return nil
			}
		}
	}
	if empty {
		return fmt.Errorf("redirect to %q: write a host after %s://", to, scheme)
	}
	return nil
}

// Path is the path to send to the origin for a normalised path.
func (r *Rewrite) Path(path string) string {
	if p := strings.TrimSuffix(r.StripPrefix, "/"); p != "" {
		if rest, ok := strings.CutPrefix(path, p); ok && (rest == "" || rest[0] == '/') {
			path = rest
			if path == "" {
				path = "/"
			}
		}
	}
	return strings.TrimSuffix(r.AddPrefix, "/") + path
}
