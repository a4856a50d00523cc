package config

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate checks a Config that was built in code: every value as Parse checks
// it, and what the values mean together. The problems have no place in a file.
// It changes nothing.
func (c *Config) Validate() []Problem {
	var ck checks
	ck.walk("", reflect.ValueOf(c).Elem())
	d := damage{}
	for _, p := range ck.problems {
		d.mark(p.Path)
	}
	return append(ck.problems, c.meaning(d)...)
}

// damage says which values are wrong in themselves, by path: true at the value,
// false at what it is in.
type damage map[string]bool

func (d damage) mark(path string) {
	d[path] = true
	for path = parentPath(path); path != ""; path = parentPath(path) {
		if _, ok := d[path]; ok {
			return
		}
		d[path] = false
	}
}

// hides tells whether the value at path, or one that it is in, is damaged.
func (d damage) hides(path string) bool {
	for ; path != ""; path = parentPath(path) {
		if d[path] {
			return true
		}
	}
	return d[""]
}

// touches tells whether the value at path, or one in it, is damaged.
func (d damage) touches(path string) bool {
	_, ok := d[path]
	return ok
}

// checks collects the problems of a Config.
type checks struct {
	problems []Problem
	damage   damage
}

func (ck *checks) fail(path, what, hint string) {
	ck.problems = append(ck.problems, Problem{Path: path, What: what, Hint: hint})
}

func (ck *checks) warn(path, what, hint string) {
	ck.problems = append(ck.problems, Problem{Path: path, What: what, Hint: hint, Warning: true})
}

// walk holds every value in the struct v against its key.
func (ck *checks) walk(path string, v reflect.Value) {
	for _, k := range keysOf(v.Type()) {
		f, p := v.Field(k.index), joinPath(path, k.name)
		if k.required && (f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0) && !isStruct(f.Type()) {
			ck.fail(p, "is missing", k.hint())
			continue
		}
		if f.Kind() == reflect.Pointer && k.typ != urlType {
			if f.IsNil() {
				continue
			}
			f = f.Elem()
		}
		switch {
		case f.Kind() == reflect.Slice:
			for i := range f.Len() {
				ck.one(p+"["+strconv.Itoa(i)+"]", &k, f.Index(i))
			}
		case f.Kind() == reflect.Map:
			for _, name := range slices.Sorted(maps.Keys(stringKeys(f))) {
				if err := formats[k.keyFormat].check(name); err != nil {
					ck.fail(joinPath(p, name), quote(name)+" "+err.Error(), "write "+formats[k.keyFormat].what)
				}
				ck.one(joinPath(p, name), &k, f.MapIndex(reflect.ValueOf(name)))
			}
		default:
			ck.one(p, &k, f)
		}
	}
}

func stringKeys(m reflect.Value) map[string]bool {
	names := make(map[string]bool, m.Len())
	for _, k := range m.MapKeys() {
		names[k.String()] = true
	}
	return names
}

func (ck *checks) one(path string, k *key, v reflect.Value) {
	switch {
	case isStruct(v.Type()):
		ck.walk(path, v)
	case v.Type() == locationType:
		if l := v.Interface().(Location); !(l.Lat >= -90 && l.Lat <= 90 && l.Lon >= -180 && l.Lon <= 180) {
			ck.fail(path, "is not a place on Earth", "give a latitude from -90 to 90 and a longitude from -180 to 180")
		}
	default:
		if err := k.checkScalar(v, false); err != nil {
			ck.fail(path, quote(scalarText(v))+" "+err.Error(), k.hint())
		}
	}
}

// meaning checks what the values mean together. Damaged values have been
// reported: it says nothing of them, nor of what depends on them.
func (c *Config) meaning(d damage) []Problem {
	ck := checks{damage: d}
	ck.listeners(c)
	ck.sizes(c)
	ck.certificates(c)
	ck.tokens(c)
	ck.sites(c)
	ck.zones(c)
	ck.later(c)
	return slices.DeleteFunc(ck.problems, func(p Problem) bool { return d.hides(p.Path) })
}

// listeners checks that no two listeners want the same port, and that an edge
// listens at all.
func (ck *checks) listeners(c *Config) {
	type hostPort struct {
		host string
		port int
	}
	taken := map[hostPort]string{} // by which key
	any, first := map[int]string{}, map[int]string{}
	for _, l := range [...]struct {
		name  string
		addrs []string
	}{{"http", c.Listen.HTTP}, {"https", c.Listen.HTTPS}, {"admin", c.Listen.Admin}, {"dns", c.Listen.DNS}, {"fleet", c.Listen.Fleet}} {
		for i, a := range l.addrs {
			host, port, err := splitListen(a)
			if err != nil || port == 0 { // 0 is any free port
				continue
			}
			path := fmt.Sprintf("listen.%s[%d]", l.name, i)
			at := hostPort{host, port}
			other := cmp.Or(taken[at], any[port])
			if anyHost(host) {
				other = first[port]
				any[port] = path
			}
			if other != "" {
				ck.fail(path, quote(a)+" is taken by "+other, "give each listener its own port")
			}
			taken[at] = path
			first[port] = cmp.Or(first[port], path)
		}
	}
	if slices.Contains(c.Node.Roles, "edge") && len(c.Listen.HTTP) == 0 && len(c.Listen.HTTPS) == 0 {
		ck.fail("listen.http", "is off, and so is listen.https: this edge would serve nobody", `write an address like ":80"`)
	}
}

// anyHost tells whether a listener on host takes its port on all addresses.
func anyHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// sizes checks limits that bound each other.
func (ck *checks) sizes(c *Config) {
	if c.Limits.URLBytes > c.Limits.HeaderBytes && !ck.damage.hides("limits.header_bytes") {
		ck.fail("limits.url_bytes", fmt.Sprintf("%s is more than limits.header_bytes (%s), of which the URL is a part", c.Limits.URLBytes, c.Limits.HeaderBytes), "lower it, or raise limits.header_bytes")
	}
	if c.Cache.RAM > 0 && c.Cache.MaxResponse > c.Cache.RAM && !ck.damage.hides("cache.ram") {
		ck.fail("cache.max_response", fmt.Sprintf("%s is more than cache.ram (%s)", c.Cache.MaxResponse, c.Cache.RAM), "lower it, or raise cache.ram")
	}
}

// certificates checks that certificates and keys come in pairs, and that
// tls.files and tls.issuer agree.
func (ck *checks) certificates(c *Config) {
	if c.TLS.Issuer == "files" && len(c.TLS.Files) == 0 {
		ck.fail("tls.files", "is missing, and tls.issuer is files", "write files: [{cert: FILE, key: FILE}]")
	}
	if c.TLS.Issuer != "files" && len(c.TLS.Files) > 0 {
		ck.warn("tls.files", "is not used, as tls.issuer is "+c.TLS.Issuer, "write issuer: files")
	}
	ck.pair("admin", c.Admin.Cert, c.Admin.Key)
}

// pair checks that cert and key are given both or not at all.
func (ck *checks) pair(path, cert, key string) {
	switch {
	case cert != "" && key == "":
		ck.fail(path+".key", "is missing beside cert", "name the file of the certificate's private key")
	case cert == "" && key != "":
		ck.fail(path+".cert", "is missing beside key", "name the file of the key's certificate")
	}
}

// tokens checks the holders of rights.
func (ck *checks) tokens(c *Config) {
	if len(c.Admin.Tokens) == 0 {
		for _, a := range c.Listen.Admin {
			if host, _, err := splitListen(a); err == nil && !isLoopback(host) {
				ck.fail("admin.tokens", "is missing, and listen.admin has "+quote(a)+", which is not on loopback", "write tokens: [{name: NAME, secret_file: FILE}], or listen on 127.0.0.1")
				break
			}
		}
	}
	sites := ck.siteNames(c)
	var admins, purgers uniques
	for i, t := range c.Admin.Tokens {
		admins.add(ck, fmt.Sprintf("admin.tokens[%d].name", i), t.Name)
	}
	for i, t := range c.Purge.Tokens {
		path := fmt.Sprintf("purge.tokens[%d]", i)
		purgers.add(ck, path+".name", t.Name)
		for j, s := range t.Sites {
			ck.refers(fmt.Sprintf("%s.sites[%d]", path, j), s, sites, "site", "sites")
		}
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// uniques finds what is there twice.
type uniques map[string]string // what is seen, and the path where

func (u *uniques) add(ck *checks, path, name string) {
	if name == "" { // reported as missing
		return
	}
	if *u == nil {
		*u = uniques{}
	}
	if first, twice := (*u)[name]; twice {
		ck.fail(path, quote(name)+" stands at "+first+" already", "write another one")
		return
	}
	(*u)[name] = path
}

// names are what the things that others refer to are called; nil when that
// cannot be known.
type names map[string]bool

func (ck *checks) siteNames(c *Config) names {
	n := make(names, len(c.Sites))
	for i, s := range c.Sites {
		if ck.damage.hides(fmt.Sprintf("sites[%d].name", i)) {
			return nil
		}
		n[s.Name] = true
	}
	if ck.damage.hides("sites") {
		return nil
	}
	return n
}

// refers checks that name is one of the names, which things in there have.
func (ck *checks) refers(path, name string, names names, thing, there string) {
	if name == "" || names == nil || names[name] {
		return
	}
	hint := "there is none in " + there
	if len(names) > 0 && len(ck.problems) < maxProblems { // beyond that nobody reads it
		all := slices.Sorted(maps.Keys(names))
		hint = there + " has " + clip(strings.Join(all, ", "))
		if near := nearest(name, all[:min(len(all), 1000)]); near != "" {
			hint = "did you mean " + near + "?"
		}
	}
	ck.fail(path, fmt.Sprintf("there is no %s %s", thing, quote(name)), hint)
}

// zones checks the DNS zones.
func (ck *checks) zones(c *Config) {
	var zones uniques
	sites := ck.siteNames(c)
	for i, z := range c.DNS.Zones {
		path := fmt.Sprintf("dns.zones[%d]", i)
		zones.add(ck, path+".name", strings.ToLower(z.Name))
		for _, label := range slices.Sorted(maps.Keys(z.Names)) {
			ck.refers(joinPath(path+".names", label)+".site", z.Names[label].Site, sites, "site", "sites")
		}
	}
	if len(c.Listen.DNS) > 0 && len(c.DNS.Zones) == 0 {
		ck.fail("dns.zones", "is missing, and listen.dns is on", "write a zone, or listen.dns: off")
	}
}

// later lists what the schema has for work that is still to come: it is checked
// like everything else, and does nothing yet. The issue that makes it work takes
// its line away.
var later = []struct {
	path string
	used func(c *Config) bool
}{
	{"dns", func(c *Config) bool { return !reflect.DeepEqual(c.DNS, Default().DNS) }},
	{"fleet", func(c *Config) bool { return !reflect.DeepEqual(c.Fleet, Default().Fleet) }},
	{"purge", func(c *Config) bool { return !reflect.DeepEqual(c.Purge, Default().Purge) }},
	{"listen.dns", func(c *Config) bool { return len(c.Listen.DNS) > 0 }},
	{"listen.fleet", func(c *Config) bool { return len(c.Listen.Fleet) > 0 }},
	{"cache.disk", func(c *Config) bool { return c.Cache.Disk > 0 }},
	{"tls.issuer", func(c *Config) bool { return c.TLS.Issuer == "acme" }},
	{"node.roles", func(c *Config) bool {
		return slices.ContainsFunc(c.Node.Roles, func(r string) bool { return r != "edge" })
	}},
}

// laterSite is the same for the keys of a site.
var laterSite = []struct {
	path string
	used func(s *Site) bool
}{
	{"shield", func(s *Site) bool { return len(s.Shield) > 0 }},
}

// laterOrigin is the same for the keys of a pool.
var laterOrigin = []struct {
	path string
	used func(o *Origin) bool
}{
	{"health", func(o *Origin) bool { return o.Health != nil }},
	{"balance", func(o *Origin) bool { return !slices.Contains([]string{"", "round_robin", "weighted"}, o.Balance) }},
}

// meanwhile says what this version does in the place of a later one's, by the
// last word of the path.
var meanwhile = map[string]string{
	"issuer":  "until then the internal CA issues",
	"balance": "until then the members take turns by weight",
}

func (ck *checks) later(c *Config) {
	notYet := func(path string) {
		ck.warn(path, "accepted, not served by this version yet", meanwhile[path[strings.LastIndexByte(path, '.')+1:]])
	}
	for _, l := range later {
		if l.used(c) {
			notYet(l.path)
		}
	}
	for i := range c.Sites {
		s := &c.Sites[i]
		site := fmt.Sprintf("sites[%d].", i)
		for _, l := range laterSite {
			if l.used(s) {
				notYet(site + l.path)
			}
		}
		for _, p := range pools(s) {
			for _, l := range laterOrigin {
				if l.used(&p.origin) {
					notYet(site + p.path + "." + l.path)
				}
			}
		}
	}
}

// pool is one of a site's pools with its path below the site.
type pool struct {
	path   string
	origin Origin
}

// pools lists a site's pools, in an order that is always the same.
func pools(s *Site) []pool {
	list := []pool{{"origin", s.Origin}}
	for name, o := range s.Origins {
		list = append(list, pool{joinPath("origins", name), o})
	}
	slices.SortFunc(list[1:], func(a, b pool) int { return cmp.Compare(a.path, b.path) })
	return list
}
