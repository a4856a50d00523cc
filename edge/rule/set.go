package rule

import (
	"net/http"

	"levee/edge/cachekey"
	"levee/edge/policy"
)

// Facts are what rules look at. Host, Path and Query are normalised by
// cachekey; Query is the whole one, before a rule filters it. Cookies and query
// are parsed only when a rule asks. Header is only read.
type Facts struct {
	Method, Host, Path, Query string
	Header                    http.Header
}

// Actions are what the matching rules say together. The caller puts the site's
// defaults in before Eval. What they point to belongs to the Set: only read it.
type Actions struct {
	Terms      policy.Terms
	Bypass     bool
	Query      *cachekey.Query // nil: nothing said
	KeyHeaders []string        // canonical, sorted, each once
	KeyCookies []string        // sorted, each once
	Request    Ops             // on the request to the origin
	Response   Ops             // on the response to the client
	Redirect   *Target         // nil: none
	Origin     string          // name of the pool; "": the site's own
	Rewrite    *Rewrite        // nil: none

	// Branch tells apart requests that rules send different ways by facts that
	// are not in the key: put it into cachekey.Shape. 0 for all others.
	Branch uint64
}

// Set is compiled rules, immutable.
type Set struct{ rules []compiled }

// Len is the number of rules.
func (s *Set) Len() int { return len(s.rules) }

// Eval applies the matching rules to a, in order.
func (s *Set) Eval(f *Facts, a *Actions) {
	for i := range s.rules {
		r := &s.rules[i]
		if ok, _ := r.match.holds(f, false); ok {
			r.apply(a)
		}
	}
}

// apply adds what one rule says.
func (r *compiled) apply(a *Actions) {
	s := &r.spec
	t := &a.Terms
	if s.TTL != nil {
		t.TTL, t.HasTTL, t.ForceTTL = s.TTL.For, true, s.TTL.Force
	}
	if s.StaleWhileRevalidate != nil {
		t.SWR, t.HasSWR = *s.StaleWhileRevalidate, true
	}
	if s.StaleIfError != nil {
		t.SIE, t.HasSIE = *s.StaleIfError, true
	}
	if s.StoreSetCookie != nil {
		t.StoreSetCookie = *s.StoreSetCookie
	}
	if s.StoreAuthorization != nil {
		t.StoreAuthorization = *s.StoreAuthorization
	}
	if s.StoreStatuses != nil {
		t.StoreStatuses = s.StoreStatuses
	}
	if s.Bypass != nil {
		a.Bypass = *s.Bypass
	}
	if s.Query != nil {
		a.Query = s.Query
	}
	if s.KeyHeaders != nil {
		a.KeyHeaders = s.KeyHeaders
	}
	if s.KeyCookies != nil {
		a.KeyCookies = s.KeyCookies
	}
	a.Request.push(r.request)
	a.Response.push(r.response)
	if r.redirect != nil {
		a.Redirect = r.redirect
	}
	if s.Origin != "" {
		a.Origin = s.Origin
	}
	if s.Rewrite != nil {
		a.Rewrite = s.Rewrite
	}
	if r.branch != 0 {
		// FNV-1a over the rules' numbers: which of them have matched, in order.
		if a.Branch == 0 {
			a.Branch = 14695981039346656037
		}
		a.Branch = (a.Branch ^ r.branch) * 1099511628211
	}
}

// Step is what became of one rule.
type Step struct {
	Rule    int    // index in the specs
	Label   string // where it stands
	Matched bool
	Why     string // if not Matched: the first condition that did not hold, as `path "/a" is not /api/*`
}

// Trail explains Eval, rule by rule; for people, it allocates.
func (s *Set) Trail(f *Facts) []Step {
	steps := make([]Step, len(s.rules))
	for i := range s.rules {
		ok, why := s.rules[i].match.holds(f, true)
		steps[i] = Step{Rule: i, Label: s.rules[i].spec.Label, Matched: ok, Why: why}
	}
	return steps
}
