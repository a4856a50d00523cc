package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func mistakes(problems []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Warning })
}

// Every key of the schema, broken in every way there is, gives exactly one
// problem: at its line, with its name.
func TestEveryKeyBroken(t *testing.T) {
	t.Parallel()
	schema := every("", reflect.TypeFor[Config]())
	whole := new(document)
	text := whole.render(schema)
	if _, problems := Parse("whole", []byte(text), environment); len(mistakes(problems)) > 0 {
		t.Fatalf("the document with every key is not right:\n%s\n%s", render(problems), text)
	}
	cases := 0
	broken := func(what string, d *document, path, line, says string) {
		t.Helper()
		cases++
		_, problems := Parse("f", []byte(d.render(around(schema, d.path))), environment)
		bad := mistakes(problems)
		if len(bad) != 1 {
			t.Errorf("%s of %s: %d problems, want one:\n%s", what, d.path, len(bad), render(bad))
			return
		}
		p := bad[0]
		want := d.lines[line]
		if line == "" {
			want = 1
		}
		if got := p.String(); p.Path != path || p.Line != want || p.Col < 1 || !strings.Contains(got, path+": ") || !strings.Contains(got, says) {
			t.Errorf("%s of %s:\n got %s\nwant f:%d: %s: … %s", what, d.path, got, want, path, says)
		}
	}
	all := flatten(schema)
	if len(all) < 150 {
		t.Fatalf("only %d keys: the walk is broken", len(all))
	}
	for _, b := range all {
		if strings.HasPrefix(b.path, "sites[0].origins.www.") {
			continue // the keys of sites[0].origin, once more
		}
		k := b.key
		entry := b.name != k.name // of a map
		list := k.typ.Kind() == reflect.Slice
		// Wrong type.
		wrong := "[[1]]" // no key takes a list in a list, unless as its first element
		at := b.path
		if list && !isStruct(k.elem) && !entry {
			wrong = "{a: 1}"
		}
		if list && isStruct(k.elem) {
			wrong = "{a: 1}"
		}
		if b.path == "node.location" {
			wrong = "north"
		}
		broken("wrong type", &document{path: b.path, replace: wrong}, at, b.path, "; write ")
		if b.children != nil {
			broken("scalar for a section", &document{path: b.path, replace: "5"}, at, b.path, `"5" is not a `)
		}
		if b.children == nil || k.required || entry {
			broken("no value", &document{path: b.path, replace: " "}, at, b.path, "has no value")
		}

		// Out of range.
		if k.min != "" {
			for _, c := range []struct {
				what, value string
				says        string
			}{
				{"below the minimum", beyond(k, k.min, -1), "less than the minimum, " + k.min},
				{"above the maximum", beyond(k, k.max, +1), "more than the maximum, " + k.max},
				{"negative", beyond(k, "", -1), "is negative"},
			} {
				if v := strings.Trim(c.value, "0smhd"); c.what == "below the minimum" && (v == "" && k.zero != "" || strings.HasPrefix(v, "-")) {
					continue // 0, which is allowed, or negative, which comes next
				}
				broken(c.what, &document{path: b.path, replace: c.value}, at, b.path, c.says)
			}
		}
		if len(k.enum) > 0 {
			broken("not in the enum", &document{path: b.path, replace: "zzzz9"}, at, b.path, k.enum[0])
		}
		if k.format != "" && b.children == nil {
			bad := `"a\nb/:"`
			switch k.format {
			case "path":
				bad = `""`
			case "field_value", "pattern":
				bad = `"a\rb"`
			}
			broken("bad format", &document{path: b.path, replace: bad}, at, b.path, "write "+formats[k.format].what)
		}
		if k.keyFormat != "" && !entry {
			path := joinPath(b.path, " \n")
			also := "" // what is referred to stays
			if k.name == "origins" {
				also = ", www: {members: [{url: http://o}]}"
			}
			broken("bad name", &document{path: b.path, replace: `{" \n": 1` + also + `}`}, path, b.path, "write "+formats[k.keyFormat].what)
		}

		// Unknown sibling, and missing.
		if !entry {
			unknown := joinPath(parentPath(b.path), "zzz_unknown")
			broken("unknown sibling", &document{path: b.path, beside: "zzz_unknown: 1"}, unknown, "beside", "is not a key")
			broken("twice", &document{path: b.path, beside: b.name + ": 1"}, b.path, "beside", "is written twice")
		}
		if at, ok := holder(all, b); k.required && !entry && ok {
			broken("missing", &document{path: b.path, drop: true}, b.path, at, "is missing")
		}
	}
	t.Logf("%d broken documents from %d keys", cases, len(all))
}

// around is the top-level section of path, and beside it only what a document
// must have.
func around(schema []*branch, path string) []*branch {
	var kept []*branch
	for _, top := range schema {
		switch {
		case path == top.path || strings.HasPrefix(path, top.path+".") || strings.HasPrefix(path, top.path+"["):
			kept = append(kept, top)
		case top.name == "sites":
			least := *top
			least.children = required(top.children)
			kept = append(kept, &least)
		case strings.HasPrefix(path, "listen") && top.name == "dns":
			kept = append(kept, top)
		}
	}
	return kept
}

// required are the branches that must be there.
func required(branches []*branch) []*branch {
	var kept []*branch
	for _, b := range branches {
		if b.key.required {
			c := *b
			c.children = required(b.children)
			kept = append(kept, &c)
		}
	}
	return kept
}

// holder is the path at whose line a problem stands when b is not written: the
// key of the section that it is in, or the first key left of an element of a
// list. It is not ok when nothing would be left of the section.
func holder(all []*branch, b *branch) (path string, ok bool) {
	for _, up := range all {
		i := slices.Index(up.children, b)
		switch {
		case i < 0:
			continue
		case len(up.children) == 1:
			return "", false
		case !up.item:
			return up.path, true
		case i == 0:
			return up.children[1].path, true
		}
		return up.children[0].path, true
	}
	return "", true // at the top
}

// The place of a problem does not depend on line ends, nor on comments and empty
// lines before it.
func TestPlaces(t *testing.T) {
	f := func(path string, change func(text string) string, line func(int) int) {
		t.Helper()
		src := read(t, path)
		_, want := Parse("f", src, environment)
		_, got := Parse("f", []byte(change(string(src))), environment)
		for i := range want {
			if want[i].Line > 1 { // what belongs to the file as a whole stays at 1
				want[i].Line = line(want[i].Line)
			}
		}
		for i := range got {
			if got[i].Line == line(1) {
				got[i].Line = 1
			}
		}
		if render(got) != render(want) {
			t.Errorf("%s changed:\n%s\nwant\n%s", path, render(got), render(want))
		}
	}
	for _, path := range files(t, "*.bad.yaml", 16) {
		switch filepath.Base(path) {
		case "control.bad.yaml", "utf8.bad.yaml", "syntax.bad.yaml", "tab.bad.yaml": // the text is not read
			continue
		}
		f(path, func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }, func(n int) int { return n })
		f(path, func(s string) string { return "# a comment\n\n" + s }, func(n int) int { return n + 2 })
		f(path, func(s string) string { return "# a comment\n" + strings.ReplaceAll(s, "\n", "\n# a comment\n") }, func(n int) int { return 2 * n })
		f(path, func(s string) string { return strings.ReplaceAll(s, "\n", " # a comment\n\n\n") }, func(n int) int { return 3*n - 2 })
	}
}

// beyond is the value one step from bound, as text; bound "" is 0.
func beyond(k *key, bound string, step int64) string {
	if bound == "" {
		bound = "0"
	}
	switch {
	case k.elem == sizeType:
		n, _ := ParseSize(bound)
		return fmt.Sprint(int64(n) + step)
	case k.elem.Kind() == reflect.Int:
		var n int64
		fmt.Sscan(bound, &n)
		return fmt.Sprint(n + step)
	case k.elem.Kind() == reflect.Float64:
		var f float64
		fmt.Sscan(bound, &f)
		return fmt.Sprint(f + float64(step)/1000)
	}
	d, _ := ParseDuration(bound)
	return (time.Duration(d) + time.Duration(step)).String()
}

// Every key that holds a number has a range and a default, and every key what
// the documents need: comment panics without one.
func TestSchemaIsWhole(t *testing.T) {
	all := comments()
	seen := map[reflect.Type]bool{}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		for _, k := range keysOf(typ) {
			p := joinPath(path, k.name)
			if c := comment(all, typ, &k); !strings.HasSuffix(c, ".") {
				t.Errorf("%s: the comment %q is no sentence", p, c)
			}
			_, number := number(reflect.New(k.elem).Elem())
			if number && k.min == "" && len(k.enum) == 0 {
				t.Errorf("%s has no range", p)
			}
			if number && !k.hasDef && k.unset == "" && typ.Field(k.index).Type.Kind() != reflect.Pointer {
				t.Errorf("%s has no default", p)
			}
			for _, name := range []string{k.format, k.keyFormat} {
				if f, ok := formats[name]; name != "" && (!ok || f.check(f.example) != nil) {
					t.Errorf("%s: the format %q is unknown, or refuses its own example", p, name)
				}
			}
			if k.typ.Kind() == reflect.Map && k.keyFormat == "" {
				t.Errorf("%s has no format of its keys", p)
			}
			if isStruct(k.elem) {
				walk(p, k.elem)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
}
