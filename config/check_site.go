package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// sites checks the sites, each and among themselves.
func (ck *checks) sites(c *Config) {
	if len(c.Sites) == 0 && slices.Contains(c.Node.Roles, "edge") {
		ck.fail("sites", "is missing, and this node is an edge", "write sites: [{name: www, hosts: [www.example.com], origin: {members: [{url: \"https://origin.example.com\"}]}}]")
	}
	var sites, hosts uniques
	for i := range c.Sites {
		s := &c.Sites[i]
		path := fmt.Sprintf("sites[%d]", i)
		sites.add(ck, path+".name", s.Name)
		for j, h := range s.Hosts {
			hosts.add(ck, fmt.Sprintf("%s.hosts[%d]", path, j), normalHost(h))
		}
		if s.RedirectHTTPS && len(c.Listen.HTTPS) == 0 {
			ck.fail(path+".redirect_https", "is set, and listen.https is off", "turn one of the two round")
		}
		for _, p := range pools(s) {
			ck.pair(path+"."+p.path+".tls", p.origin.TLS.Cert, p.origin.TLS.Key)
		}
		var pools names
		if !ck.damage.hides(path + ".origins") {
			pools = make(names, len(s.Origins))
			for name := range s.Origins {
				pools[name] = true
			}
		}
		for j := range s.Rules {
			ck.rule(fmt.Sprintf("%s.rules[%d]", path, j), &s.Rules[j], pools)
		}
	}
}

// rule checks the actions of one rule against each other.
func (ck *checks) rule(path string, r *Rule, pools names) {
	actions := *r
	actions.Match = Match{}
	if reflect.ValueOf(actions).IsZero() && !ck.damage.touches(path) {
		ck.fail(path, "does nothing", "give it an action, as in ttl: 1m, or delete it")
	}
	ck.refers(path+".origin", r.Origin, pools, "pool", "the site's origins")
	if r.Cache == "bypass" {
		switch {
		case r.TTL != nil:
			ck.warn(path+".ttl", "has no effect beside cache: bypass", "delete one of the two")
		case r.Stale != nil:
			ck.warn(path+".stale", "has no effect beside cache: bypass", "delete one of the two")
		case len(r.Store) > 0:
			ck.warn(path+".store", "has no effect beside cache: bypass", "delete one of the two")
		}
	}
	ck.headers(path+".request", &r.Request, true)
	ck.headers(path+".response", &r.Response, false)
}

// headers checks one set of header operations. Field names have no case (RFC
// 9110 section 5.1), so Set-Cookie and set-cookie are one field.
func (ck *checks) headers(path string, h *HeaderOps, request bool) {
	for _, op := range [...]struct {
		name   string
		fields []string
	}{{"set", slices.Sorted(maps.Keys(h.Set))}, {"add", slices.Sorted(maps.Keys(h.Add))}, {"remove", h.Remove}} {
		var seen uniques
		for i, f := range op.fields {
			p := joinPath(path+"."+op.name, f)
			if op.name == "remove" {
				p = fmt.Sprintf("%s.remove[%d]", path, i)
			}
			seen.add(ck, p, strings.ToLower(f))
			if request && strings.EqualFold(f, "Host") {
				ck.fail(p, "the Host is not a field to change", "write the pool's host: NAME")
			}
		}
	}
}
