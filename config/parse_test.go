package config

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	if c, problems, err := Load(filepath.Join(dir, "none.yaml")); c != nil || problems != nil || err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("Load of no file: %v, %v, %v; want an error that names it", c, problems, err)
	}
	if _, _, err := Load(dir); err == nil {
		t.Error("Load of a folder: no error")
	}
	path := filepath.Join(dir, "levee.yaml")
	t.Setenv("LEVEE_TEST_HOST", "www.example.com")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sites: [{name: www, hosts: \"${LEVEE_TEST_HOST}\", origin: {members: [{url: http://127.0.0.1}]}}]\n")
	c, problems, err := Load(path)
	if err != nil || len(problems) > 0 || c.Sites[0].Hosts[0] != "www.example.com" {
		t.Errorf("Load: %v, %v, %v", c, problems, err)
	}
	write(strings.Repeat("#", maxFile+1))
	if _, problems, err := Load(path); err != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), "larger than 8MiB") {
		t.Errorf("Load of a file that is too long: %v, %v", problems, err)
	}
}

func TestSizeLimit(t *testing.T) {
	t.Parallel()
	f := func(length int, want bool) {
		t.Helper()
		text := []byte("sites: [{name: a, hosts: a, origin: {members: [{url: http://o}]}}]\n")
		text = append(text, bytes.Repeat([]byte("#"), length-len(text))...)
		if _, problems := Parse("f", text, environment); Failed(problems) == want {
			t.Errorf("%d bytes: %v, want right: %v", length, problems, want)
		}
	}
	f(maxFile, true)
	f(maxFile+1, false)
}

// What could cost more than its length is refused, soon, and in one problem.
func TestBombs(t *testing.T) {
	t.Parallel()
	const site = "sites: [{name: a, hosts: a, origin: {members: [{url: http://o}]}}]\n"
	big := strings.Repeat("x", 1<<20)
	env := func(string) (string, bool) { return big, true }
	f := func(what, text, says string) {
		t.Helper()
		begin := time.Now()
		_, problems := Parse("f", []byte(text), env)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: took %v", what, took)
		}
		bad := mistakes(problems)
		if len(bad) != 1 || !strings.Contains(bad[0].String(), says) {
			t.Errorf("%s: %d problems, want one with %q:\n%.500s", what, len(bad), says, render(bad))
		}
	}
	n := 20_000
	f("brackets", strings.Repeat("[", n), "nested too deep")
	f("braces", strings.Repeat("{a: ", n), "nested too deep")
	f("dashes", strings.Repeat("- ", n), "nested too deep")
	f("question marks", strings.Repeat("? ", n), "nested too deep")
	f("tags", strings.Repeat("!a ", n), "nested too deep")
	var steps strings.Builder
	for i := range 2000 {
		steps.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	f("steps", steps.String(), "indented too deep")
	f("empty lines", "a: >\n"+strings.Repeat("\n", n), "empty lines")
	f("aliases", "sites:\n- &a {name: a, hosts: a, origin: {members: [{url: http://o}]}, rules: ["+strings.Repeat("{ttl: 1s},", 500)+"]}\n"+strings.Repeat("- *a\n", 1000), "expand to too much")
	merges := "node: &n0 {name: a}\n"
	for i := range 40 {
		merges += fmt.Sprintf("k%d: &n%d {<<: [*n%d, *n%d]}\n", i, i+1, i, i)
	}
	f("merge keys", merges+"listen: {<<: *n40}\n", "expand to too much")
	f("a merge key of itself", site+"node: &a\n  <<: *a\n", "nested too deep")
	f("an alias of itself", site+"node: &a\n  name: *a\n", "node.name")
	f("variables", site+"node:\n  data: \""+strings.Repeat("${BIG}", 9)+"\"\n", "more than 8MiB")
}

func TestManyProblems(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "k%d: 1\n", i)
	}
	_, problems := Parse("f", []byte(text.String()), environment)
	if last := problems[len(problems)-1]; len(problems) != maxProblems+1 || last.What != "2001 more problems" {
		t.Errorf("%d problems, the last %v", len(problems), last)
	}
}

func TestDefault(t *testing.T) {
	c := Default()
	problems := c.Validate()
	if len(problems) != 1 || problems[0].Path != "sites" || problems[0].Line != 0 || strings.HasPrefix(problems[0].String(), ":") {
		t.Errorf("Default: %v; want that sites are missing, and nothing else", problems)
	}
	u, err := url.Parse("http://127.0.0.1:3000")
	if err != nil {
		t.Fatal(err)
	}
	c.Sites = []Site{DefaultSite("site", []string{"*"}, DefaultMember(u))}
	if problems := c.Validate(); len(problems) > 0 {
		t.Errorf("the config of run --origin: %v", problems)
	}
	// What code builds is what a file says.
	parsed, problems := Parse("f", []byte(`sites: [{name: site, hosts: "*", origin: {members: [{url: "http://127.0.0.1:3000"}]}}]`), environment)
	if len(problems) > 0 || !reflect.DeepEqual(parsed, c) {
		t.Errorf("Parse gives %+v, %v\nDefault gives %+v", parsed, problems, c)
	}
	// Two calls share nothing.
	c.Listen.HTTP[0], c.Node.Roles[0] = "x", "x"
	if other := Default(); other.Listen.HTTP[0] != ":80" || other.Node.Roles[0] != "edge" {
		t.Error("two Defaults share a list")
	}
}

func TestKeyScheme(t *testing.T) {
	f := func(keys string, want bool) {
		t.Helper()
		c, problems := Parse("f", []byte("sites: [{name: a, hosts: a, origin: {members: [{url: http://o}]}"+keys+"}]"), environment)
		if Failed(problems) || c.Sites[0].Key.Scheme != want {
			t.Errorf("%s: key.scheme %v, want %v; %v", keys, c.Sites[0].Key.Scheme, want, problems)
		}
	}
	f("", true)
	f(", redirect_https: true", false)
	f(", redirect_https: true, key: {headers: [A]}", false)
	f(", redirect_https: true, key: {scheme: true}", true)
	f(", key: {scheme: false}", false)
}

// Each problem of a Config that was built in code, by its path.
func TestValidate(t *testing.T) {
	f := func(path string, change func(c *Config)) {
		t.Helper()
		c, problems := Parse("f", read(t, "testdata/full.good.yaml"), environment)
		if Failed(problems) {
			t.Fatal(render(problems))
		}
		change(c)
		bad := mistakes(c.Validate())
		if len(bad) != 1 || bad[0].Path != path {
			t.Errorf("%v, want one problem at %s", bad, path)
		}
	}
	f("limits.header_bytes", func(c *Config) { c.Limits.HeaderBytes = 1 })
	f("limits.idle_timeout", func(c *Config) { c.Limits.IdleTimeout = -1 })
	f("limits.streams", func(c *Config) { c.Limits.Streams = 0 })
	f("cache.ram", func(c *Config) { c.Cache.RAM = 1 })
	f("collapse.finish_fraction", func(c *Config) { c.Collapse.FinishFraction = 1.5 })
	f("node.location", func(c *Config) { c.Node.Location.Lat = 91 })
	f("node.roles[0]", func(c *Config) { c.Node.Roles = []string{"king"} })
	f("listen.http[1]", func(c *Config) { c.Listen.HTTP[1] = "nowhere" })
	f("listen.admin[0]", func(c *Config) { c.Listen.Admin = []string{"0.0.0.0:8080"} })
	f("log.level", func(c *Config) { c.Log.Level = "loud" })
	f("tls.files[0].key", func(c *Config) { c.TLS.Files[0].Key = "" })
	f("admin.tokens", func(c *Config) { c.Admin.Tokens = nil })
	f("admin.key", func(c *Config) { c.Admin.Key = "" })
	f("purge.isolated_ttl", func(c *Config) { c.Purge.IsolatedTTL.Duration = 1 << 60 })
	f("sites", func(c *Config) { c.Sites = nil })
	f("sites[0].name", func(c *Config) { c.Sites[0].Name = "" })
	f("sites[0].name", func(c *Config) { c.Sites[0].Name = "A" })
	f("sites[0].hosts", func(c *Config) { c.Sites[0].Hosts = nil })
	f("sites[0].hosts[1]", func(c *Config) { c.Sites[0].Hosts[1] = "a b" })
	f("sites[0].hosts[1]", func(c *Config) { c.Sites[0].Hosts[1] = "SHOP.example.com" })
	f("sites[0].origin.members", func(c *Config) { c.Sites[0].Origin.Members = nil })
	f("sites[0].origin.members[0].url", func(c *Config) { c.Sites[0].Origin.Members[0].URL = nil })
	f("sites[0].origin.members[0].url", func(c *Config) { c.Sites[0].Origin.Members[0].URL = &url.URL{Scheme: "ftp", Host: "a"} })
	f("sites[0].origin.members[0].weight", func(c *Config) { c.Sites[0].Origin.Members[0].Weight = 1001 })
	f("sites[0].origins[\"A B\"]", func(c *Config) { c.Sites[0].Origins["A B"] = c.Sites[0].Origin })
	f("sites[0].error_pages.404", func(c *Config) { c.Sites[0].ErrorPages["404"] = "a\x00" })
	f("sites[0].error_pages.299", func(c *Config) { c.Sites[0].ErrorPages["299"] = "a" })
	f("sites[0].rules[0].origin", func(c *Config) { c.Sites[0].Rules[0].Origin = "nobody" })
	f("sites[0].rules[0].ttl", func(c *Config) { c.Sites[0].Rules[0].TTL.Duration = -1 })
	f("sites[0].rules[0].stale.if_error", func(c *Config) { *c.Sites[0].Rules[0].Stale.IfError = -1 })
	f("sites[0].rules[0].store[0]", func(c *Config) { c.Sites[0].Rules[0].Store[0] = "all" })
	f("sites[0].rules[0].request.set.Host", func(c *Config) { c.Sites[0].Rules[0].Request.Set["Host"] = "a" })
	f("sites[0].rules[0].request.set.X-A", func(c *Config) { c.Sites[0].Rules[0].Request.Set["X-A"] = "a\r\nb: c" })
	f("sites[0].rules[0].request.set.TE", func(c *Config) { c.Sites[0].Rules[0].Request.Set["TE"] = "a" })
	f("sites[0].rules[0]", func(c *Config) { c.Sites[0].Rules[0] = Rule{} })
	f("sites[0].rules[1].redirect.to", func(c *Config) { c.Sites[0].Rules[1].Redirect.To = "" })
	f("sites[0].rules[1].redirect.status", func(c *Config) { c.Sites[0].Rules[1].Redirect.Status = 200 })
}

// Each thing that is accepted and does nothing yet says so.
func TestLater(t *testing.T) {
	f := func(path string, change func(c *Config)) {
		t.Helper()
		c, problems := Parse("f", read(t, "testdata/minimal.good.yaml"), environment)
		if len(problems) > 0 {
			t.Fatal(render(problems))
		}
		change(c)
		if got := c.Validate(); len(got) != 1 || got[0].Path != path || !got[0].Warning || !strings.Contains(got[0].String(), "accepted, not served by this version yet") {
			t.Errorf("%v, want one warning at %s", got, path)
		}
	}
	f("fleet", func(c *Config) { c.Fleet.Join = []string{"tls://core:4250"} })
	f("purge", func(c *Config) { c.Purge.MaxLag++ })
	f("dns", func(c *Config) { c.DNS.Geo = "geo.mmdb" })
	f("listen.fleet", func(c *Config) { c.Listen.Fleet = []string{":4250"} })
	f("cache.disk", func(c *Config) { c.Cache.Disk = GiB })
	f("node.roles", func(c *Config) { c.Node.Roles = []string{"edge", "core"} })
	f("tls.issuer", func(c *Config) { c.TLS.Issuer = "acme" })
	f("sites[0].shield", func(c *Config) { c.Sites[0].Shield = []string{"eu"} })
	f("sites[0].origin.health", func(c *Config) { c.Sites[0].Origin.Health = &Health{Path: "/", Every: Duration(time.Second)} })
	f("sites[0].origin.balance", func(c *Config) { c.Sites[0].Origin.Balance = "ip_hash" })
	f("sites[0].origins.a.balance", func(c *Config) {
		o := c.Sites[0].Origin
		o.Balance = "two_choices"
		c.Sites[0].Origins = map[string]Origin{"a": o}
	})
}

// Any choice of keys that need not be there is a right configuration, as far as
// no key refers to another.
func TestAnySubset(t *testing.T) {
	t.Parallel()
	all := every("", reflect.TypeFor[Config]())
	r := rand.New(rand.NewPCG(3, 4))
	var prune func(branches []*branch) []*branch
	prune = func(branches []*branch) []*branch {
		var kept []*branch
		for _, b := range branches {
			tied := slices.Contains([]string{"cert", "key", "origins", "name", "sites", "dns", "zones", "ttl"}, b.name) && !strings.Contains(b.path, "key.") || b.name != b.key.name
			if !b.key.required && !tied && r.IntN(2) == 0 {
				continue
			}
			c := *b
			c.children = nil
			if b.children != nil {
				c.children = prune(b.children)
				if len(c.children) == 0 {
					continue
				}
			}
			kept = append(kept, &c)
		}
		return kept
	}
	for range 100 {
		text := new(document).render(prune(all))
		c, problems := Parse("f", []byte(text), environment)
		if bad := mistakes(problems); len(bad) > 0 {
			t.Fatalf("%s\n%s", render(bad), text)
		}
		if bad := mistakes(c.Validate()); len(bad) > 0 {
			t.Fatalf("Validate: %s\n%s", render(bad), text)
		}
	}
}

// Whatever the bytes: no panic, a place within the text for every problem, and
// Validate agrees with Parse about what is right.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"*.good.yaml", "*.bad.yaml"} {
		list, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range list {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Add([]byte(new(document).render(every("", reflect.TypeFor[Config]()))))
	for _, s := range []string{"", "\ufeffnode: {}", "a: &a [*a]", "? {a: b}\n: c", "node: !!binary x", "- ", "%YAML 1.2\n---\n", "...", "a: |\n  b\n c", "node:\r\n  name: a\r\n", "[]", "~", "{<<: {<<: {}}}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, problems := Parse("f", src, environment)
		if c == nil {
			t.Fatal("no Config")
		}
		lines := strings.Count(string(src), "\n") + strings.Count(string(src), "\r") + 1
		for i, p := range problems {
			if p.File != "f" || p.Line < 1 || p.Line > lines || p.Col < 1 || p.What == "" {
				t.Errorf("a problem without its place: %#v", p)
			}
			if strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("a problem of several lines: %q", p)
			}
			if i > 0 && i < maxProblems && p.Line < problems[i-1].Line {
				t.Errorf("out of order: %s before %s", problems[i-1], p)
			}
		}
		bad := mistakes(c.Validate())
		if !Failed(problems) && len(bad) > 0 {
			t.Errorf("Parse finds nothing, Validate finds %v", bad)
		}
	})
}

// The hosts of a site are what the edge makes of a request's Host.
func TestHosts(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		c, problems := Parse("f", []byte("sites: [{name: a, hosts: \""+in+"\", origin: {members: [{url: http://o}]}}]"), environment)
		if Failed(problems) || c.Sites[0].Hosts[0] != want {
			t.Errorf("%s: %v, want %s; %v", in, c.Sites[0].Hosts, want, problems)
		}
	}
	f("WWW.Example.com", "www.example.com")
	f("*.Example.com", "*.example.com")
	f("*", "*")
	f("192.0.2.1", "192.0.2.1")
	f("2001:DB8:0::1", "[2001:db8::1]")
	f("[2001:db8::1]", "[2001:db8::1]")
	f("localhost", "localhost")
}
