package rule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"levee/edge/cachekey"
)

// match is a compiled MatchSpec: host globs lower case, field names canonical.
type match struct {
	methods, hosts, paths   []string
	headers, cookies, query []FieldMatch
}

// holds reports whether all conditions hold, the cheap ones first. With explain
// it also says which is the first that does not.
func (m *match) holds(f *Facts, explain bool) (ok bool, why string) {
	if len(m.paths) > 0 && !anyGlob(m.paths, f.Path) {
		return not(explain, "path", f.Path, m.paths)
	}
	if len(m.methods) > 0 && !slices.Contains(m.methods, f.Method) {
		return not(explain, "method", f.Method, m.methods)
	}
	if len(m.hosts) > 0 && !anyGlob(m.hosts, f.Host) {
		return not(explain, "host", f.Host, m.hosts)
	}
	for i := range m.headers {
		if c := &m.headers[i]; !c.inHeader(f.Header) {
			return c.not(explain, "header field")
		}
	}
	for i := range m.cookies {
		if c := &m.cookies[i]; !c.inCookies(f.Header) {
			return c.not(explain, "cookie")
		}
	}
	for i := range m.query {
		if c := &m.query[i]; !c.inQuery(f.Query) {
			return c.not(explain, "query parameter")
		}
	}
	return true, ""
}

func anyGlob(globs []string, s string) bool {
	for _, g := range globs {
		if cachekey.Glob(g, s) {
			return true
		}
	}
	return false
}

func (c *FieldMatch) inHeader(h http.Header) bool {
	lines := h[c.Name]
	if c.Absent || len(c.Values) == 0 {
		return c.Absent == (len(lines) == 0)
	}
	for _, line := range lines {
		if anyGlob(c.Values, line) {
			return true
		}
	}
	return false
}

func (c *FieldMatch) inCookies(h http.Header) bool {
	found := false
	cachekey.EachCookie(h, func(name, value string) bool {
		found = c.is(name, value)
		return !found
	})
	return found != c.Absent
}

func (c *FieldMatch) inQuery(query string) bool {
	found := false
	cachekey.EachParam(query, func(name, value string) bool {
		found = c.is(name, value)
		return !found
	})
	return found != c.Absent
}

// is reports whether name=value is what the condition, were it not Absent, is
// looking for.
func (c *FieldMatch) is(name, value string) bool {
	return name == c.Name && (len(c.Values) == 0 || anyGlob(c.Values, value))
}

func not(explain bool, what, have string, want []string) (bool, string) {
	if !explain {
		return false, ""
	}
	return false, fmt.Sprintf("%s %q is not %s", what, have, strings.Join(want, " or "))
}

// not does not show values: trails are printed and logged, and cookies and
// header fields hold secrets.
func (c *FieldMatch) not(explain bool, what string) (bool, string) {
	switch {
	case !explain:
		return false, ""
	case c.Absent:
		return false, fmt.Sprintf("there is a %s %s", what, c.Name)
	case len(c.Values) == 0:
		return false, fmt.Sprintf("there is no %s %s", what, c.Name)
	}
	return false, fmt.Sprintf("no %s %s is %s", what, c.Name, strings.Join(c.Values, " or "))
}
