package edge

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"levee/config"
	"levee/edge/cache"
	"levee/edge/cachekey"
	"levee/edge/rule"
	"levee/origin"
	"levee/origin/balance"
	"levee/purge/journal"
)

// Site is a website, compiled from its config. It is immutable; its pools live
// on from one compilation to the next while their options stay the same.
type Site struct {
	Name  string
	Hosts []string // as configured

	rules    *rule.Set
	defaults rule.Actions
	shape    cachekey.Shape
	norm     cachekey.Normalise
	hash     journal.Hash
	pool     *origin.Pool
	pools    map[string]*origin.Pool

	redirectHTTPS, altSvc, serverTiming, forwardTags bool

	pages   map[string]page // by "404", "4xx", "default"
	metrics *siteMetrics
}

// page is an error page of a site.
type page struct {
	body        []byte
	contentType string
}

// maxPage bounds an error page's file, in bytes.
const maxPage = 1 << 20

// State is everything that a reload swaps: the next is compiled whole, then one
// pointer changes. It is immutable.
type State struct {
	Sites    []*Site
	exact    map[string]*Site
	wildcard map[string]*Site // by what follows "*."
	any      *Site

	limits     config.Limits
	maxBody    int64 // the largest body that is kept in RAM, in bytes
	missMarker time.Duration
	pools      map[string]pooled // by site and pool name
}

type pooled struct {
	options origin.Options
	pool    *origin.Pool
}

// Compile makes the state that c describes. Pools of old (which may be nil)
// whose options have not changed are kept. On an error nothing has changed and
// every mistake is told.
func Compile(c *config.Config, ram int64, old *State, m *Metrics) (*State, error) {
	s := &State{
		exact: make(map[string]*Site), wildcard: make(map[string]*Site), pools: make(map[string]pooled),
		limits: c.Limits, maxBody: int64(c.Cache.MaxResponse), missMarker: time.Duration(c.Collapse.MissMarker),
	}
	if s.maxBody == 0 {
		s.maxBody = ram / 24
	}
	s.maxBody = min(s.maxBody, cache.MaxBody(ram))
	var errs []error
	for i := range c.Sites {
		site, err := s.compileSite(&c.Sites[i], old)
		if err != nil {
			errs = append(errs, fmt.Errorf("site %s: %w", c.Sites[i].Name, err))
			continue
		}
		site.metrics = m.site(site.Name)
		s.Sites = append(s.Sites, site)
		for _, host := range c.Sites[i].Hosts {
			switch rest, wild := strings.CutPrefix(host, "*."); {
			case host == "*":
				s.any = site
			case wild:
				s.wildcard[rest] = site
			default:
				s.exact[host] = site
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		for name, p := range s.pools {
			if old == nil || old.pools[name].pool != p.pool {
				p.pool.Close()
			}
		}
		return nil, err
	}
	return s, nil
}

// Retire closes the pools of s that next does not use. Requests under way on
// them end as they would.
func (s *State) Retire(next *State) {
	for name, p := range s.pools {
		if next.pools[name].pool != p.pool {
			p.pool.Close()
		}
	}
}

// Find returns the site of a normalised host, nil without one: the exact name
// before the longest wildcard before "*".
func (s *State) Find(host string) *Site {
	if site := s.exact[host]; site != nil {
		return site
	}
	if len(s.wildcard) > 0 {
		for rest := host; ; {
			_, after, found := strings.Cut(rest, ".")
			if !found {
				break
			}
			if site := s.wildcard[after]; site != nil {
				return site
			}
			rest = after
		}
	}
	return s.any
}

// Serves reports whether a name, or "*.name" for all names below one, belongs
// to a site: what may have a certificate.
func (s *State) Serves(name string) bool {
	if rest, wild := strings.CutPrefix(name, "*."); wild {
		return s.wildcard[rest] != nil
	}
	host, ok := cachekey.Host(name)
	return ok && s.Find(host) != nil
}

func (s *State) compileSite(c *config.Site, old *State) (*Site, error) {
	site := &Site{
		Name:          c.Name,
		Hosts:         c.Hosts,
		shape:         cachekey.Shape{Scheme: c.Key.Scheme, Headers: c.Key.Headers, Cookies: c.Key.Cookies},
		hash:          journal.HashOf(journal.BySite, c.Name),
		redirectHTTPS: c.RedirectHTTPS, altSvc: c.AltSvc, serverTiming: c.ServerTiming, forwardTags: c.ForwardTags,
		pools: make(map[string]*origin.Pool),
		pages: make(map[string]page),
	}
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}

	site.defaults.Query = query(c.Key.Query)
	site.defaults.Terms.StoreSetCookie = c.StoreSetCookie
	if c.Stale.WhileRevalidate > 0 {
		site.defaults.Terms.HasSWR, site.defaults.Terms.SWR = true, time.Duration(c.Stale.WhileRevalidate)
	}
	if c.Stale.IfError > 0 {
		site.defaults.Terms.HasSIE, site.defaults.Terms.SIE = true, time.Duration(c.Stale.IfError)
	}

	specs := make([]rule.Spec, 0, len(c.Rules))
	for i := range c.Rules {
		specs = append(specs, ruleSpec(i, &c.Rules[i], &c.Key))
	}
	var err error
	site.rules, err = rule.Compile(specs)
	note(err)

	site.pool, err = s.poolOf(c.Name, "", &c.Origin, old)
	note(err)
	for name := range c.Origins {
		o := c.Origins[name]
		site.pools[name], err = s.poolOf(c.Name, name, &o, old)
		note(err)
	}
	for status, file := range c.ErrorPages {
		p, err := readPage(file)
		if err != nil {
			note(fmt.Errorf("error_pages %s: %w", status, err))
		}
		site.pages[status] = p
	}
	return site, errors.Join(errs...)
}

func readPage(file string) (page, error) {
	f, err := os.Open(file)
	if err != nil {
		return page{}, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxPage+1))
	if err != nil {
		return page{}, err
	}
	if len(body) > maxPage {
		return page{}, fmt.Errorf("%s is larger than %d bytes; an error page may hold no more", file, maxPage)
	}
	ct := "text/html; charset=utf-8"
	switch filepath.Ext(file) {
	case ".txt":
		ct = "text/plain; charset=utf-8"
	case ".json":
		ct = "application/json"
	}
	return page{body, ct}, nil
}

// poolOf makes the pool of a site, or takes the old one whose options are the
// same, so that a reload keeps its connections.
func (s *State) poolOf(site, name string, c *config.Origin, old *State) (*origin.Pool, error) {
	o := origin.Options{
		Name: site, Balance: c.Balance, Host: c.Host, HTTP2: c.HTTP2,
		Connect: time.Duration(c.Timeouts.Connect), TLS: time.Duration(c.Timeouts.TLS),
		FirstByte: time.Duration(c.Timeouts.FirstByte), BetweenBytes: time.Duration(c.Timeouts.BetweenBytes),
		Total: time.Duration(c.Timeouts.Total), MaxConnections: c.MaxConnections, Retries: c.Retries,
		CAFile: c.TLS.CA, SNI: c.TLS.SNI, InsecureSkipVerify: !c.TLS.Verify, CertFile: c.TLS.Cert, KeyFile: c.TLS.Key,
	}
	if _, err := balance.Parse(o.Balance); err != nil {
		o.Balance = "" // a later version's; the config has warned
	}
	if name != "" {
		o.Name += "/" + name
	}
	for _, m := range c.Members {
		o.Members = append(o.Members, origin.Member{URL: m.URL, Weight: m.Weight, Backup: m.Backup})
	}
	if old != nil {
		// Certificate files may have changed under the same name: such a pool is made anew.
		if p, ok := old.pools[o.Name]; ok && o.CAFile == "" && o.CertFile == "" && reflect.DeepEqual(p.options, o) {
			s.pools[o.Name] = p
			return p.pool, nil
		}
	}
	p, err := origin.New(o)
	if err != nil {
		return nil, err
	}
	s.pools[o.Name] = pooled{o, p}
	return p, nil
}

func query(c config.Query) *cachekey.Query {
	return &cachekey.Query{Keep: c.Keep, Drop: c.Drop, Sort: c.Sort}
}

// ruleSpec translates a rule. The site's key parts are given to every rule that
// adds to them, since a rule's parts replace earlier ones.
func ruleSpec(i int, c *config.Rule, key *config.Key) rule.Spec {
	yes := true
	sp := rule.Spec{
		Label: "rules[" + strconv.Itoa(i) + "]",
		Match: rule.MatchSpec{
			Methods: c.Match.Methods, Hosts: c.Match.Hosts, Paths: c.Match.Path,
			Headers: fieldMatches(c.Match.Headers, http.CanonicalHeaderKey), Cookies: fieldMatches(c.Match.Cookies, nil),
			Query: fieldMatches(c.Match.Query, nil),
		},
		Origin: c.Origin,
	}
	if c.TTL != nil {
		sp.TTL = &rule.TTL{For: time.Duration(c.TTL.Duration), Force: c.TTL.Force}
	}
	if c.Stale != nil {
		sp.StaleWhileRevalidate = (*time.Duration)(c.Stale.WhileRevalidate)
		sp.StaleIfError = (*time.Duration)(c.Stale.IfError)
	}
	if c.Cache == "bypass" {
		sp.Bypass = &yes
	}
	if slices.Contains(c.Store, "set_cookie") {
		sp.StoreSetCookie = &yes
	}
	if slices.Contains(c.Store, "authorization") {
		sp.StoreAuthorization = &yes
	}
	if c.Query != nil {
		sp.Query = query(*c.Query)
	}
	if len(c.Key.Headers) > 0 {
		sp.KeyHeaders = union(key.Headers, c.Key.Headers)
	}
	if len(c.Key.Cookies) > 0 {
		sp.KeyCookies = union(key.Cookies, c.Key.Cookies)
	}
	sp.Request = headerOps(&c.Request)
	sp.Response = headerOps(&c.Response)
	if c.Redirect != nil {
		// In the config {query} brings its own "?".
		to := strings.ReplaceAll(c.Redirect.To, "{query}", "?{query}")
		to = strings.NewReplacer("??{query}", "?{query}", "&?{query}", "&{query}").Replace(to)
		sp.Redirect = &rule.Redirect{To: to, Status: c.Redirect.Status}
	}
	if c.Rewrite.StripPrefix != "" || c.Rewrite.AddPrefix != "" {
		sp.Rewrite = &rule.Rewrite{StripPrefix: c.Rewrite.StripPrefix, AddPrefix: c.Rewrite.AddPrefix}
	}
	return sp
}

func union(a, b []string) []string {
	u := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(u, s) {
			u = append(u, s)
		}
	}
	return u
}

func fieldMatches(m map[string]string, name func(string) string) []rule.FieldMatch {
	var out []rule.FieldMatch
	for k, pattern := range m {
		if name != nil {
			k = name(k)
		}
		out = append(out, rule.FieldMatch{Name: k, Values: []string{pattern}})
	}
	slices.SortFunc(out, func(a, b rule.FieldMatch) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// headerOps orders the operations of one rule: removals, then set, then add,
// each by name, so that a config means one thing.
func headerOps(c *config.HeaderOps) []rule.HeaderOp {
	var ops []rule.HeaderOp
	for _, n := range slices.Sorted(slices.Values(c.Remove)) {
		ops = append(ops, rule.HeaderOp{Op: rule.OpRemove, Name: http.CanonicalHeaderKey(n)})
	}
	byName := func(op rule.Op, m map[string]string) {
		names := make([]string, 0, len(m))
		for n := range m {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			ops = append(ops, rule.HeaderOp{Op: op, Name: http.CanonicalHeaderKey(n), Value: m[n]})
		}
	}
	byName(rule.OpSet, c.Set)
	byName(rule.OpAdd, c.Add)
	return ops
}
