package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"levee/config"
)

// What deploy/ offers is good without a warning.
func TestExamplesAreGood(t *testing.T) {
	files, err := filepath.Glob("../../deploy/examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		if _, problems, err := config.Load(file); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", file, problems, err)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		said[dir] = said[dir] || f.Doc != nil && (strings.HasPrefix(f.Doc.Text(), "Package "+f.Name.Name+" ") || strings.HasPrefix(f.Doc.Text(), "Command "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// A node whose port is taken says so, and can be stopped.
func TestStopAfterAFailedStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	c := demoConfig(taken.Addr(), t.TempDir())
	c.Listen.HTTP, c.Listen.HTTPS, c.Listen.Admin = []string{"127.0.0.1:0"}, nil, []string{taken.Addr().String()}
	n, err := NewNode(c, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err == nil || !strings.Contains(err.Error(), "listen.admin") {
		t.Errorf("started: %v", err)
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
}
