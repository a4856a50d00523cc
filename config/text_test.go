package config

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	d := &decoder{env: environment}
	f := func(in, want string) {
		t.Helper()
		if got, err := d.expand(in); err != nil || got != want {
			t.Errorf("expand(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	f("", "")
	f("$", "$")
	f("$$", "$$")
	f("$HOST", "$HOST")
	f("${PORT}", "8080")
	f("a${PORT}b${PORT}c", "a8080b8080c")
	f("$${PORT}", "${PORT}")
	f("$$${PORT}", "$${PORT}")
	f("$ {PORT}", "$ {PORT}")
	f("${PORT}}", "8080}")
	bad := func(in, says string) {
		t.Helper()
		if got, err := d.expand(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("expand(%q) = %q, %v; want an error with %q", in, got, err, says)
		}
	}
	bad("${NONE}", "NONE")
	bad("${", "without its }")
	bad("${PORT", "without its }")
	bad("${}", "${}")
	bad("${1}", "${1}")
	bad("${A B}", "${A B}")
	bad("${${PORT}}", "${${PORT}")
	// Escaped, any text is itself.
	r := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = "$${}A"[r.IntN(5)]
		}
		// A $ before an escaped ${ would itself be read as part of the escape's $$.
		text := strings.ReplaceAll(string(b), "${", "{")
		f(strings.ReplaceAll(text, "{", "$${"), strings.ReplaceAll(text, "{", "${"))
	}
}

func TestPaths(t *testing.T) {
	f := func(path, name, want string) {
		t.Helper()
		if got := joinPath(path, name); got != want || parentPath(got) != path {
			t.Errorf("joinPath(%q, %q) = %q in %q; want %q", path, name, got, parentPath(got), want)
		}
	}
	f("", "node", "node")
	f("node", "name", "node.name")
	f("sites[0]", "name", "sites[0].name")
	f("a", "X-A", "a.X-A")
	f("a", "x.y", `a["x.y"]`)
	f("a", `x"]["y`, `a["x\"][\"y"]`)
	f("a", "[", `a["["]`)
	f("a", "", `a[""]`)
	f(`a["x.y"]`, "b", `a["x.y"].b`)
	if got := parentPath("sites[12]"); got != "sites" {
		t.Errorf("parentPath(sites[12]) = %q", got)
	}
}

func TestNearest(t *testing.T) {
	f := func(name string, names []string, want string) {
		t.Helper()
		if got := nearest(name, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
	limits := []string{"header_bytes", "header_count", "url_bytes", "drain"}
	f("header_byte", limits, "header_bytes")
	f("Header-Bytes", limits, "header_bytes")
	f("headerbytes", limits, "header_bytes")
	f("hedaer_count", limits, "header_count")
	f("dran", limits, "drain")
	f("memory", limits, "")
	f("x", limits, "")
	f("", limits, "")
	f(strings.Repeat("a", 65), []string{strings.Repeat("a", 65)}, "")
}
