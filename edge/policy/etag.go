package policy

import "strings"

// entityTag takes an entity-tag off the front of s (RFC 9110 §8.8.3). opaque
// includes the quotes.
func entityTag(s string) (opaque string, weak bool, rest string, ok bool) {
	if strings.HasPrefix(s, "W/") {
		weak, s = true, s[2:]
	}
	if s == "" || s[0] != '"' {
		return "", false, "", false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], weak, s[i+1:], true
		case c < 0x21 || c == 0x7f:
			return "", false, "", false
		}
	}
	return "", false, "", false
}

// isEntityTag reports whether s is one entity-tag and nothing else.
func isEntityTag(s string) bool {
	_, _, rest, ok := entityTag(s)
	return ok && rest == ""
}

// matchesWeakly reports whether a list of entity-tags, or "*", holds one that
// equals etag by weak comparison (RFC 9110 §8.8.3.2). A list is read up to its
// first mistake.
func matchesWeakly(lines []string, etag string) bool {
	if len(lines) == 1 && trimOWS(lines[0]) == "*" {
		return true
	}
	want, _, rest, ok := entityTag(etag)
	if !ok || rest != "" {
		return false
	}
	for _, s := range lines {
		for {
			s = strings.TrimLeft(s, " \t,")
			opaque, _, rest, ok := entityTag(s)
			if !ok {
				break
			}
			rest = strings.TrimLeft(rest, " \t")
			if rest != "" && rest[0] != ',' {
				break
			}
			if opaque == want {
				return true
			}
			s = rest
		}
	}
	return false
}
