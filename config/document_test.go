package config

import (
	"reflect"
	"strings"
)

// branch is one key of a document that has every key of the schema once, with a
// value that is right.
type branch struct {
	path     string // as problems name it
	key      *key
	name     string // as written: the key, or the name of an entry of a map
	text     string // the value, of a leaf
	children []*branch
	item     bool // children stand in the only element of a list
}

// every builds the branches of the struct t.
func every(path string, t reflect.Type) []*branch {
	var all []*branch
	for _, k := range keysOf(t) {
		b := &branch{path: joinPath(path, k.name), key: &k, name: k.name}
		switch {
		case k.typ.Kind() == reflect.Map:
			name := formats[k.keyFormat].example
			entry := &branch{path: joinPath(b.path, name), key: &k, name: name}
			if isStruct(k.elem) {
				entry.children = every(entry.path, k.elem)
			} else {
				entry.text = right(entry.path, &k)
			}
			b.children = []*branch{entry}
		case isStruct(k.elem) && k.typ.Kind() == reflect.Slice:
			b.item = true
			b.children = every(b.path+"[0]", k.elem)
		case isStruct(k.elem):
			b.children = every(b.path, k.elem)
		default:
			b.text = right(b.path, &k)
		}
		all = append(all, b)
	}
	return all
}

// right is a value that the key takes, and that agrees with the others of every.
func right(path string, k *key) string {
	switch path {
	case "listen.dns":
		return "127.0.0.1:5300" // not the example, which only one listener can have
	case "node.location":
		return "[1, 2]"
	case "node.addresses":
		return "192.0.2.1"
	}
	switch {
	case len(k.enum) > 0:
		return k.enum[0]
	case k.hasDef:
		return `"` + k.def + `"`
	case k.min != "":
		return k.min
	case k.format != "":
		return `"` + formats[k.format].example + `"`
	case k.elem.Kind() == reflect.Bool:
		return "true"
	}
	panic("no value for " + path)
}

// unquote lets numbers and truth values stand without the quotes that right gives
// to every default.
func unquote(b *branch) string {
	switch b.key.elem.Kind() {
	case reflect.Bool, reflect.Int, reflect.Float64:
		return strings.Trim(b.text, `"`)
	}
	return b.text
}

// document writes branches as YAML and keeps the line of each path.
type document struct {
	text  strings.Builder
	lines map[string]int
	line  int
	// What is changed: at the path, replace stands for the value, beside is a line
	// more in its section, and drop leaves the key out.
	path            string
	replace, beside string
	drop            bool
}

func (d *document) put(depth int, dash bool, path, rest string) {
	d.line++
	if path != "" {
		d.lines[path] = d.line
	}
	indent := strings.Repeat("  ", depth)
	if dash {
		indent = indent[:len(indent)-2] + "- "
	}
	d.text.WriteString(indent + rest + "\n")
}

func (d *document) section(depth int, branches []*branch, item bool) {
	dash := item
	for _, b := range branches {
		here := d.path == b.path
		if here && d.drop {
			continue
		}
		switch {
		case here && d.replace != "":
			d.put(depth, dash, b.path, b.name+": "+d.replace)
		case b.children != nil:
			d.put(depth, dash, b.path, b.name+":")
			below := depth + 1
			if b.item {
				below++
			}
			d.section(below, b.children, b.item)
		default:
			d.put(depth, dash, b.path, b.name+": "+unquote(b))
		}
		dash = false
		if here && d.beside != "" {
			d.put(depth, false, "beside", d.beside)
		}
	}
}

func (d *document) render(all []*branch) string {
	d.lines = map[string]int{}
	d.section(0, all, false)
	return d.text.String()
}

// flatten lists all branches.
func flatten(branches []*branch) []*branch {
	var all []*branch
	for _, b := range branches {
		all = append(all, b)
		all = append(all, flatten(b.children)...)
	}
	return all
}
