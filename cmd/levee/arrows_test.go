package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows are the imports within this module that exist, each with its reason.
// They run down one hill: cmd, edge, origin, config; purge and geodns are side
// slopes; purge/journal is a leaf that others may use. A parent composes its
// children; children import neither their parent nor config.
var arrows = map[string]map[string]string{
	"cmd/levee": {
		"config":         "the flags and the file make one",
		"edge":           "a node has an edge",
		"edge/accesslog": "node.go wires every concrete type",
		"edge/admin":     "node.go wires every concrete type",
		"edge/cache":     "node.go wires every concrete type",
		"edge/collapse":  "node.go wires every concrete type",
		"edge/tlscert":   "node.go wires every concrete type; trust shows the root",
		"purge/journal":  "node.go wires every concrete type",
	},
	"cmd/leveebench": {},
	"config":         {},
	"edge": {
		"config":         "sites are compiled from it",
		"edge/accesslog": "a request ends with a line",
		"edge/byterange": "ranges of a stored response",
		"edge/cache":     "lookup and store",
		"edge/cachekey":  "host, path and query are normalised before anything looks at them",
		"edge/collapse":  "misses join flights",
		"edge/policy":    "what may be stored, and for how long",
		"edge/rule":      "a site's rules speak before the lookup",
		"edge/wire":      "a strict reader of heads stands before net/http",
		"origin":         "a fetch goes to a pool",
		"origin/balance": "which ways to choose a member there are",
		"purge/journal":  "arrival marks, and invalidation by unsafe methods",
	},
	"edge/accesslog": {},
	"edge/admin":     {},
	"edge/byterange": {"edge/policy": "the dates of If-Range"},
	"edge/cache": {
		"edge/cache/ram": "its RAM tier",
		"edge/cachekey":  "a variant is found by its key",
		"edge/policy":    "a stored response has a lifetime",
		"purge/journal":  "a stored response is judged at lookup",
	},
	"edge/cache/ram": {},
	"edge/cachekey":  {},
	"edge/collapse": {
		"edge/cache":    "a flight's body and a hit's body are one type",
		"edge/cachekey": "waiters regroup by variant",
		"edge/policy":   "whether a response may be shared",
		"purge/journal": "waiters are judged at the head",
	},
	"edge/policy":    {},
	"edge/rule":      {"edge/cachekey": "a rule's query filter and patterns", "edge/policy": "a rule's terms"},
	"edge/tlscert":   {},
	"edge/wire":      {},
	"origin":         {"origin/balance": "a pool picks a member"},
	"origin/balance": {},
	"purge/journal":  {},
}

func TestImportArrows(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		from := filepath.ToSlash(dir)
		if seen[from] == nil {
			seen[from] = map[string]bool{}
		}
		for _, imp := range f.Imports {
			name, _ := strconv.Unquote(imp.Path.Value)
			if to, ours := strings.CutPrefix(name, "levee/"); ours {
				seen[from][to] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for from, tos := range seen {
		if top, _, _ := strings.Cut(from, "/"); !slices.Contains([]string{"cmd", "edge", "origin", "purge", "geodns", "config"}, top) {
			t.Errorf("%s: only cmd, edge, origin, purge, geodns and config hold code", from)
		}
		if arrows[from] == nil {
			t.Errorf("package %s is not in the table of arrows", from)
		}
		for to := range tos {
			if arrows[from][to] == "" {
				t.Errorf("%s imports %s: an arrow without a reason in the table", from, to)
			}
			if to == "config" && strings.Contains(from, "/") && !strings.HasPrefix(from, "cmd/") {
				t.Errorf("%s imports config: children get plain options", from)
			}
			if strings.HasPrefix(from, to+"/") {
				t.Errorf("%s imports its parent %s", from, to)
			}
		}
	}
	for from, tos := range arrows {
		for to, why := range tos {
			if !seen[from][to] {
				t.Errorf("the arrow %s -> %s (%s) is gone: take it off the table", from, to, why)
			}
		}
	}
}
