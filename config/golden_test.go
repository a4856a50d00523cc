package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files and the generated documents anew")

// environment is what the files in testdata may name.
func environment(name string) (string, bool) {
	v, ok := map[string]string{
		"HOST": "127.0.0.1", "HOST_NAME": "www.example.com", "PORT": "8080", "FLAG": "true", "N": "64", "RATE": "2KiB", "WORD": "a-secret",
		"STRUCTURE": "x: [1, {y: 2}]", "DOLLAR": "${HOST} $${HOST}",
	}[name]
	return v, ok
}

func render(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// golden compares got with the file at path, or writes it there with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test ./config -update writes it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what the code makes (go test ./config -update writes it anew):\n%s", path, diff)
	}
}

func files(t *testing.T, pattern string, least int) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(list) < least {
		t.Fatalf("%d files %s, want at least %d (%v)", len(list), pattern, least, err)
	}
	return list
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestBadFiles(t *testing.T) {
	for _, path := range files(t, "*.bad.yaml", 16) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, problems := Parse(filepath.Base(path), read(t, path), environment)
			if c == nil || !Failed(problems) {
				t.Errorf("Parse: Config %v, problems %v; want both", c, problems)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", render(problems))
		})
	}
}

func TestGoodFiles(t *testing.T) {
	for _, path := range files(t, "*.good.yaml", 5) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c, problems := Parse(filepath.Base(path), read(t, path), environment)
			if Failed(problems) {
				t.Errorf("problems:\n%s", render(problems))
			}
			for _, p := range c.Validate() {
				if !p.Warning {
					t.Errorf("Validate finds what Parse does not: %s", p)
				}
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".txt", render(problems)) // the warnings
		})
	}
}

// The file of DESIGN section 10, read into values.
func TestDesignExample(t *testing.T) {
	c, _ := Parse("design", read(t, "testdata/design.good.yaml"), environment)
	want := Default()
	got := *c
	got.Sites, got.DNS, got.Fleet, got.Purge, got.Node = nil, DNS{}, Fleet{}, want.Purge, want.Node
	want.Listen.DNS = []string{":53"}
	want.Cache.RAM, want.Cache.Disk = 1*GiB, 100*GiB
	want.TLS.Issuer, want.TLS.Email = "acme", "ops@example.com"
	if diff := cmp.Diff(*want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	site := c.Sites[0]
	f := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	const hour = Duration(3_600_000_000_000)
	f("location", *c.Node.Location, Location{50.11, 8.68})
	f("hosts", site.Hosts, []string{"www.example.com", "*.img.example.com"})
	f("url", site.Origin.Members[0].URL.String(), "https://origin-1.example.com")
	f("weights", []int{site.Origin.Members[0].Weight, site.Origin.Members[1].Weight}, []int{2, 1})
	f("backup", site.Origin.Members[1].Backup, true)
	f("retries", site.Origin.Retries, 1)
	f("stale", site.Stale, Stale{WhileRevalidate: hour / 120, IfError: 24 * hour})
	f("ttl", *site.Rules[1].TTL, TTL{Duration: 24 * hour})
	f("query", *site.Rules[1].Query, Query{Keep: []string{"v"}, Sort: true})
	f("bypass", site.Rules[2].Cache, "bypass")
	f("key", site.Key, Key{Scheme: true, Query: Query{Sort: true}})
	f("names", c.DNS.Zones[0].Names, map[string]ZoneName{"www": {Site: "www"}})
}

func TestVariables(t *testing.T) {
	c, problems := Parse("env", read(t, "testdata/env.good.yaml"), environment)
	if Failed(problems) {
		t.Fatal(render(problems))
	}
	f := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
	f("text", c.Listen.HTTP, []string{"127.0.0.1:8080"})
	f("number", c.Limits.HeaderCount, 64)
	f("size", c.Limits.BodyRate, 2*KiB)
	f("truth", c.Sites[0].Origin.HTTP2, true)
	f("url", c.Sites[0].Origin.Members[0].URL.String(), "http://127.0.0.1:8080/a")
	f("header values", c.Sites[0].Rules[0].Response.Set, map[string]string{
		"X-Structure": "x: [1, {y: 2}]", // structure in a variable stays text
		"X-Literal":   "${HOST}",
		"X-Twice":     "${HOST} $${HOST}", // not expanded again
		"X-Dollar":    "$5 and $$",
	})
}

// A value that a variable brought can be a secret: no message shows it.
func TestVariablesAreNotShown(t *testing.T) {
	_, problems := Parse("env", read(t, "testdata/environment.bad.yaml"), environment)
	if text := render(problems); strings.Contains(text, "a-secret") || !strings.Contains(text, "${WORD}") {
		t.Errorf("want ${WORD} and not its value in\n%s", text)
	}
}

func TestAliases(t *testing.T) {
	c, problems := Parse("anchors", read(t, "testdata/anchors.good.yaml"), environment)
	if Failed(problems) {
		t.Fatal(render(problems))
	}
	a, b, m := c.Sites[0], c.Sites[1], c.Sites[2]
	if diff := cmp.Diff(a.Origin, b.Origin); diff != "" {
		t.Errorf("alias (-anchor +alias)\n%s", diff)
	}
	if diff := cmp.Diff(a.Rules, b.Rules); diff != "" {
		t.Errorf("alias (-anchor +alias)\n%s", diff)
	}
	want := a.Origin
	want.Retries = 3
	want.Timeouts.Connect = 2_000_000_000
	if diff := cmp.Diff(want, m.Origin); diff != "" {
		t.Errorf("merge (-want +got)\n%s", diff)
	}
}

func TestDocumentsAreCurrent(t *testing.T) {
	schema, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "../docs/config.schema.json", string(schema))
	golden(t, "../docs/config.md", string(Reference()))
}
