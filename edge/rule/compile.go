package rule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"levee/edge/cachekey"
)

// compiled is one rule, ready to use.
type compiled struct {
	spec              Spec // its slices are our own copies
	match             match
	request, response []headerOp
	redirect          *Target
	branch            uint64 // 0: see Actions.Branch; else the number of the rule, from 1
}

// Compile checks and compiles rules. The error tells every mistake of every
// rule, joined, each with the rule's label and what to write instead. specs may
// be changed afterwards.
func Compile(specs []Spec) (*Set, error) {
	set := &Set{rules: make([]compiled, len(specs))}
	var mistakes []error
	for i := range specs {
		c := compiler{rule: &set.rules[i]}
		c.compile(specs[i], i)
		mistakes = append(mistakes, c.mistakes...)
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return set, nil
}

// compiler compiles one rule and collects its mistakes.
type compiler struct {
	rule     *compiled
	mistakes []error
}

func (c *compiler) mistake(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	c.mistakes = append(c.mistakes, fmt.Errorf("%s: %w", c.rule.spec.Label, err))
}

func (c *compiler) compile(s Spec, i int) {
	if s.Label == "" {
		s.Label = fmt.Sprintf("rule %d", i+1)
	}
	r := c.rule
	r.spec = s
	r.match = c.conditions(&s.Match)
	r.spec.Match = MatchSpec{}

	if s.TTL != nil {
		ttl := *s.TTL
		c.notNegative("ttl", ttl.For)
		r.spec.TTL = &ttl
	}
	r.spec.StaleWhileRevalidate = c.window("stale while_revalidate", s.StaleWhileRevalidate)
	r.spec.StaleIfError = c.window("stale if_error", s.StaleIfError)
	r.spec.Bypass = clone(s.Bypass)
	r.spec.StoreSetCookie = clone(s.StoreSetCookie)
	r.spec.StoreAuthorization = clone(s.StoreAuthorization)
	r.spec.StoreStatuses = slices.Clone(s.StoreStatuses)
	for _, status := range s.StoreStatuses {
		if status < 200 || status > 599 || status == 206 || status == 304 {
			c.mistake("store status %d: write one from 200 to 599 but 206 and 304", status)
		}
	}
	if s.Query != nil {
		r.spec.Query = &cachekey.Query{Keep: slices.Clone(s.Query.Keep), Drop: slices.Clone(s.Query.Drop), Sort: s.Query.Sort}
		for _, name := range slices.Concat(s.Query.Keep, s.Query.Drop) {
			if name == "" {
				c.mistake("query: an empty name; write the parameter's name or a pattern as utm_*")
			}
		}
	}
	r.spec.KeyHeaders = c.keyHeaders(s.KeyHeaders)
	r.spec.KeyCookies = c.keyCookies(s.KeyCookies)
	r.request = c.headerOps("request", s.Request)
	r.response = c.headerOps("response", s.Response)
	r.spec.Request, r.spec.Response = nil, nil
	if s.Redirect != nil {
		var err error
		if r.redirect, err = compileTarget(s.Redirect); err != nil {
			c.mistake("%w", err)
		}
		r.spec.Redirect = nil
	}
	if s.Rewrite != nil {
		r.spec.Rewrite = clone(s.Rewrite)
		c.prefix("strip_prefix", s.Rewrite.StripPrefix)
		c.prefix("add_prefix", s.Rewrite.AddPrefix)
	}

	m := &s.Match
	outsideKey := len(m.Headers)+len(m.Cookies)+len(m.Query) > 0
	otherFetch := s.Origin != "" || s.Rewrite != nil || len(s.Request) > 0
	if outsideKey && otherFetch {
		r.branch = uint64(i) + 1
	}
}

func (c *compiler) conditions(m *MatchSpec) match {
	out := match{
		methods: slices.Clone(m.Methods),
		paths:   slices.Clone(m.Paths),
		cookies: cloneFields(m.Cookies),
		query:   cloneFields(m.Query),
		headers: cloneFields(m.Headers),
	}
	for _, method := range m.Methods {
		if !isToken(method) || strings.ToUpper(method) != method {
			c.mistake("method %q: write it in capitals, as GET", method)
		}
	}
	for _, host := range m.Hosts {
		if host == "" || strings.ContainsAny(host, "/: \t") {
			c.mistake("host %q: write a name or a pattern as *.example.com, without scheme, port and path", host)
		}
		out.hosts = append(out.hosts, strings.ToLower(host))
	}
	for _, path := range m.Paths {
		c.pathGlob(path)
	}
	for i := range out.headers {
		f := &out.headers[i]
		if !isToken(f.Name) {
			c.mistake("header field %q: that is no field name", f.Name)
		}
		if f.Name = http.CanonicalHeaderKey(f.Name); f.Name == "Host" {
			c.mistake("header field Host: match on hosts instead")
		}
		c.fieldMatch("header field", f)
	}
	for i := range out.cookies {
		if !isToken(out.cookies[i].Name) {
			c.mistake("cookie %q: that is no cookie name", out.cookies[i].Name)
		}
		c.fieldMatch("cookie", &out.cookies[i])
	}
	for i := range out.query {
		if out.query[i].Name == "" {
			c.mistake("query parameter without a name: write it")
		}
		c.fieldMatch("query parameter", &out.query[i])
	}
	return out
}

// pathGlob refuses patterns that no normalised path can match: the rule would
// be silently dead.
func (c *compiler) pathGlob(glob string) {
	if glob == "" || glob[0] != '/' && glob[0] != '*' && glob[0] != '?' {
		c.mistake("path %q: begin with \"/\" or \"*\"", glob)
		return
	}
	// A star or question mark is replaced by a letter, which changes nothing
	// about whether the rest is normal.
	plain := strings.NewReplacer("*", "x", "?", "x").Replace(glob)
	if plain[0] != '/' {
		plain = "/" + plain
	}
	normal, ok := cachekey.Path(plain)
	switch {
	case !ok:
		c.mistake("path %q: no request has such a path; write other bytes than A-Z a-z 0-9 and punctuation as %%XX", glob)
	case normal != plain:
		c.mistake("path %q: requests are matched in normal form; write escapes only where needed and in capitals, and no dot segments", glob)
	}
}

func (c *compiler) fieldMatch(what string, f *FieldMatch) {
	if f.Absent && len(f.Values) > 0 {
		c.mistake("%s %s: it cannot be absent and have a value; write one of the two", what, f.Name)
	}
}

func (c *compiler) notNegative(what string, d time.Duration) {
	if d < 0 {
		c.mistake("%s %v: write 0s or more", what, d)
	}
}

func (c *compiler) window(what string, d *time.Duration) *time.Duration {
	if d != nil {
		c.notNegative(what, *d)
	}
	return clone(d)
}

func (c *compiler) prefix(what, p string) {
	if p == "" {
		return
	}
	if normal, ok := cachekey.Path(p); !ok || normal != p {
		c.mistake("rewrite %s %q: write a path in normal form, as /v2", what, p)
	}
}

func (c *compiler) keyHeaders(names []string) []string {
	if names == nil {
		return nil
	}
	out := make([]string, 0, len(names))
	for _, name := range names {
		if !isToken(name) {
			c.mistake("key header %q: that is no field name", name)
		}
		out = append(out, http.CanonicalHeaderKey(name))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *compiler) keyCookies(names []string) []string {
	if names == nil {
		return nil
	}
	for _, name := range names {
		if !isToken(name) {
			c.mistake("key cookie %q: that is no cookie name", name)
		}
	}
	out := append(make([]string, 0, len(names)), names...)
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *compiler) headerOps(side string, ops []HeaderOp) []headerOp {
	var out []headerOp
	for _, op := range ops {
		name := http.CanonicalHeaderKey(op.Name)
		switch {
		case !isToken(op.Name):
			c.mistake("%s header %q: that is no field name", side, op.Name)
		case isFraming(name):
			c.mistake("%s header %s: it belongs to the connection, which Levee manages; leave it out", side, name)
		case name == "Host":
			c.mistake("%s header Host: set origin.host instead", side)
		case op.Op > OpRemove:
			c.mistake("%s header %s: unknown operation", side, name)
		case op.Op == OpRemove && op.Value != "":
			c.mistake("%s header %s: it is removed, so leave out the value", side, name)
		case !isFieldValue(op.Value):
			c.mistake("%s header %s: its value %q has control bytes or white space at an end; leave them out", side, name, op.Value)
		}
		out = append(out, headerOp{op: op.Op, name: name, lines: slices.Clip([]string{op.Value})})
	}
	return out
}

// isFraming are the fields that say how a message is cut from its connection;
// written by hand they are a smuggled request.
func isFraming(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Http2-Settings", "Keep-Alive", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isToken is RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue is RFC 9110 §5.5.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return strings.Trim(s, " \t") == s
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func cloneFields(fields []FieldMatch) []FieldMatch {
	out := slices.Clone(fields)
	for i := range out {
		out[i].Values = slices.Clone(out[i].Values)
	}
	return out
}
