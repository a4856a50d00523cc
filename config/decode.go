package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxProblems are reported; the rest is counted.
const maxProblems = 1000

// Parse reads a configuration from src; name is what problems call the file and
// env looks up environment variables (nil: the process's). It does no other I/O.
// It never fails as a whole: the Config is not nil and has every default filled
// in, and the problems, in the order of the file, tell all that is wrong with
// it. It is fit for use unless Failed(problems).
func Parse(name string, src []byte, env func(string) (string, bool)) (*Config, []Problem) {
	if env == nil {
		env = os.LookupEnv
	}
	d := &decoder{
		file: name, env: env,
		anchors: map[string]ast.Node{}, places: map[string]places{}, unread: damage{}, keys: map[reflect.Type][]key{}, defaults: map[reflect.Type]reflect.Value{},
	}
	c := Default()
	body, words, bad := parseYAML(src)
	if bad != nil {
		d.fail(bad.at, "", bad.what, bad.hint)
		return c, d.problems
	}
	d.most = 2*words + 100_000 // every token read twice, and some aliases
	d.findAnchors(body)
	d.places[""] = places{place{1, 1}, place{1, 1}}
	if body != nil {
		if n, ok := d.plain("", body); ok && n != nil && n.Type() != ast.NullType {
			d.section("", n, reflect.ValueOf(c).Elem())
		}
	}
	if d.visits > d.most {
		d.problems = nil
		d.fail(place{1, 1}, "", "the aliases of this file expand to too much", "write it with fewer aliases")
		return Default(), d.problems
	}
	d.resolve(c)
	for _, p := range c.meaning(d.unread) {
		d.add(p, d.find(p.Path))
	}
	sortProblems(d.problems)
	if d.more > 0 {
		d.problems = append(d.problems, Problem{File: name, Line: 1, Col: 1, What: fmt.Sprintf("%d more problems", d.more), Hint: "mend these first"})
	}
	return c, d.problems
}

// places says where a key and its value stand.
type places struct{ key, value place }

// decoder reads one document into one Config.
type decoder struct {
	file     string
	env      func(string) (string, bool)
	anchors  map[string]ast.Node
	keys     map[reflect.Type][]key
	defaults map[reflect.Type]reflect.Value
	places   map[string]places // of every path read
	unread   damage            // the values that could not be read: nothing more is said of them
	problems []Problem
	more     int // problems beyond maxProblems
	visits   int // nodes read, and the most that there may be: aliases must not make a small file large
	most     int
	expanded int // bytes that environment variables brought
}

func (d *decoder) fail(at place, path, what, hint string) {
	d.unread.mark(path)
	d.add(Problem{Path: path, What: what, Hint: hint}, at)
}

func (d *decoder) add(p Problem, at place) {
	if len(d.problems) >= maxProblems {
		d.more++
		return
	}
	p.File, p.Line, p.Col = d.file, at.line, at.col
	d.problems = append(d.problems, p)
}

// find is the place to show for path: its value's, or its key's when the value
// begins on a later line, or where what it is in stands when path itself is not
// written.
func (d *decoder) find(path string) place {
	if p, ok := d.places[path]; ok {
		if p.value.line > p.key.line {
			return p.key
		}
		return p.value
	}
	for path = parentPath(path); path != ""; path = parentPath(path) {
		if p, ok := d.places[path]; ok {
			return p.key
		}
	}
	return place{1, 1}
}

// resolve fills in the defaults that depend on another key.
func (d *decoder) resolve(c *Config) {
	for i := range c.Sites {
		if _, ok := d.places[fmt.Sprintf("sites[%d].key.scheme", i)]; !ok {
			c.Sites[i].Key.Scheme = !c.Sites[i].RedirectHTTPS
		}
	}
}

func (d *decoder) keysOf(t reflect.Type) []key {
	keys, ok := d.keys[t]
	if !ok {
		keys = keysOf(t)
		d.keys[t] = keys
	}
	return keys
}

// setDefaults fills the struct v as the function of that name does, which takes
// its time over it.
func (d *decoder) setDefaults(v reflect.Value) {
	def, ok := d.defaults[v.Type()]
	if !ok {
		def = reflect.New(v.Type()).Elem()
		setDefaults(def)
		d.defaults[v.Type()] = def
	}
	v.Set(def)
}

// section reads the mapping n into the struct v, whose defaults are filled in.
func (d *decoder) section(path string, n ast.Node, v reflect.Value) {
	at := d.places[path].key
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		d.wrongType(path, n, v.Type())
		return
	}
	keys := d.keysOf(v.Type())
	written := make(map[string]bool, len(keys))
	for _, e := range d.entries(path, n, 0) {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == e.name })
		if i < 0 {
			d.unknown(path, e, keys)
			continue
		}
		written[e.name] = true
		d.value(joinPath(path, e.name), &keys[i], e, v.Field(keys[i].index))
	}
	for _, k := range keys {
		if k.required && !written[k.name] {
			d.fail(at, joinPath(path, k.name), "is missing", k.hint())
		}
	}
}

func (d *decoder) unknown(path string, e entry, keys []key) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	hint := "the keys here are " + strings.Join(names, ", ")
	if near := nearest(e.name, names); near != "" {
		hint = "did you mean " + near + "?"
	}
	d.fail(e.at, joinPath(path, e.name), "is not a key of the configuration", hint)
}

// value reads what the entry e has for k into the field f.
func (d *decoder) value(path string, k *key, e entry, f reflect.Value) {
	d.places[path] = places{e.at, placeOf(e.value)}
	n, ok := d.plain(path, e.value)
	if !ok {
		return
	}
	if n == nil || n.Type() == ast.NullType {
		// Sections are often left empty when their keys are commented out; for an
		// empty list of texts nobody can know whether the default is meant.
		if k.required || !isStruct(k.elem) && k.typ.Kind() != reflect.Map {
			d.fail(e.at, path, "has no value", k.hint()+", or delete the key")
		}
		return
	}
	d.places[path] = places{e.at, placeOf(n)}
	if f.Kind() == reflect.Pointer && k.typ != urlType {
		f.Set(reflect.New(k.typ))
		f = f.Elem()
		if isStruct(k.typ) {
			d.setDefaults(f)
		}
	}
	switch {
	case f.Kind() == reflect.Slice:
		d.list(path, k, n, f)
	case f.Kind() == reflect.Map:
		d.table(path, k, n, f)
	case isStruct(f.Type()):
		d.section(path, n, f)
	default:
		d.scalar(path, k, n, f)
	}
}

// list reads a sequence, or the one scalar that stands for it, into the slice f.
func (d *decoder) list(path string, k *key, n ast.Node, f reflect.Value) {
	f.Set(reflect.MakeSlice(f.Type(), 0, 0)) // written and empty is not nil: query.keep tells them apart
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		text, scalar := scalarOf(n)
		switch {
		case k.off && scalar && text == "off":
		case scalar && !isStruct(k.elem):
			e := reflect.New(k.elem).Elem()
			d.places[path+"[0]"] = d.places[path]
			if d.scalar(path, k, n, e) {
				f.Set(reflect.Append(f, e))
			}
		default:
			d.wrongType(path, n, f.Type())
		}
		return
	}
	if len(seq.Values) == 0 && k.required {
		d.fail(placeOf(n), path, "is empty", k.hint())
		return
	}
	for i, item := range seq.Values {
		p := path + "[" + strconv.Itoa(i) + "]"
		at := placeOf(item)
		d.places[p] = places{at, at}
		item, ok := d.plain(p, item)
		if !ok {
			if d.visits > d.most {
				return
			}
			continue
		}
		// Every item is appended, also one that cannot be read, so that the
		// indices in paths are the file's; for such a one the damage keeps the checks off.
		e := reflect.New(k.elem).Elem()
		if isStruct(k.elem) {
			d.setDefaults(e)
			if item == nil || item.Type() == ast.NullType {
				d.fail(at, p, "is empty", "write its keys, or delete the dash")
			} else {
				d.section(p, item, e)
			}
		} else {
			d.scalar(p, k, item, e)
		}
		f.Set(reflect.Append(f, e))
	}
}

// table reads a mapping with free keys into the map f.
func (d *decoder) table(path string, k *key, n ast.Node, f reflect.Value) {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		d.wrongType(path, n, f.Type())
		return
	}
	f.Set(reflect.MakeMap(f.Type()))
	for _, e := range d.entries(path, n, 0) {
		p := joinPath(path, e.name)
		if err := formats[k.keyFormat].check(e.name); err != nil {
			d.fail(e.at, p, quote(e.name)+" "+err.Error(), "write "+formats[k.keyFormat].what)
			continue
		}
		d.places[p] = places{e.at, placeOf(e.value)}
		// As in a list, an entry that cannot be read is there all the same, so
		// that what refers to it is not reported too.
		v := reflect.New(k.elem).Elem()
		if isStruct(k.elem) {
			d.setDefaults(v)
		}
		value, ok := d.plain(p, e.value)
		switch {
		case !ok:
		case value == nil || value.Type() == ast.NullType:
			d.fail(e.at, p, "has no value", k.hint()+", or delete the key")
		case isStruct(k.elem):
			d.section(p, value, v)
		default:
			d.scalar(p, k, value, v)
		}
		f.SetMapIndex(reflect.ValueOf(e.name), v)
	}
}
