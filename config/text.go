package config

import (
	"fmt"
	"strconv"
	"strings"
)

// maxExpanded bounds what environment variables bring into one file.
const maxExpanded = maxFile

// expand replaces ${NAME} in s by the environment variable NAME, and $${ by ${.
// What a variable holds is not looked at again. The error names the variable.
func (d *decoder) expand(s string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "$${"):
			b.WriteString("${")
			s = s[len("$${"):]
		case strings.HasPrefix(s, "${"):
			name, rest, ok := strings.Cut(s[len("${"):], "}")
			if !ok {
				return "", fmt.Errorf("has ${ without its }")
			}
			if !isVariable(name) {
				return "", fmt.Errorf("has ${%s}, which is not the name of a variable", clip(name))
			}
			value, ok := d.env(name)
			if !ok {
				return "", fmt.Errorf("the environment variable %s is not set", clip(name))
			}
			if d.expanded += len(value); d.expanded > maxExpanded {
				return "", fmt.Errorf("the environment variables of this file hold more than 8MiB")
			}
			b.WriteString(value)
			s = rest
		default:
			b.WriteByte('$')
			s = s[1:]
		}
	}
	return b.String(), nil
}

func isVariable(name string) bool {
	return name != "" && only(name, "_") && (name[0] < '0' || name[0] > '9')
}

// quote shows a text from the file in a message: in quotes, in one line, and
// not at any length.
func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// joinPath is the path of the key name in the section at path. A name that
// could be taken for a path stands in brackets.
func joinPath(path, name string) string {
	if name == "" || len(name) > 80 || !only(name, "_-") {
		return path + "[" + quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// parentPath is the path of what path is in; "" for a top-level key.
func parentPath(path string) string {
	if strings.HasSuffix(path, `"]`) {
		// The quoted name may hold any sign; its opening bracket is the last one before a quote that no backslash escapes.
		for i := len(path) - 3; i > 0; i-- {
			if path[i] == '"' && path[i-1] == '[' {
				return path[:i-1]
			}
		}
		return ""
	}
	i := strings.LastIndexAny(path, ".[")
	if i < 0 {
		return ""
	}
	return path[:i]
}

// nearest is the one of names that name is most likely meant to be, or "".
func nearest(name string, names []string) string {
	if len(name) > 64 {
		return ""
	}
	folded := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	best, least := "", max(1, len(name)/3)+1
	for _, n := range names {
		if dist := distance(folded, n); dist < least {
			best, least = n, dist
		}
	}
	return best
}

// distance counts the single-byte edits, swaps of neighbours included, that make
// b of a (optimal string alignment).
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(prev[j]+cost, prev[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
