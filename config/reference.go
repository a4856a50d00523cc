package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference is the page of the user guide on the configuration: one table of
// every key with its type, default, values and meaning, in Markdown. It is made
// from the same tags and comments that Parse works by.
func Reference() []byte {
	r := reference{comments: comments(), shown: map[reflect.Type]string{}}
	r.b.WriteString(`# Every key of the configuration

<!-- Generated from the structs of package config: go test ./config -update -->

A configuration is one YAML document. A key that is not in this table is an error,
and so is a value outside its range; ` + "`levee check --config FILE`" + ` tells every mistake at
once. Editors that know YAML check and complete it with the
[JSON Schema](config.schema.json).

- A **size** is a whole number of bytes, or of KiB, MiB, GiB, TiB, PiB (1024 each): ` + "`64MiB`" + `.
- A **duration** is numbers with units ms, s, m, h, d: ` + "`30s`, `1h30m`, `7d`" + `.
- A **list** of plain values can be written as its only element.
- ` + "`${NAME}`" + ` in a value is the environment variable NAME; an unset one is an error.
  Within ` + "`{ }` and `[ ]`" + ` it needs quotes. ` + "`$${`" + ` stands for the characters ` + "`${`" + `.
- ` + "`[]`" + ` in a key stands for each element of a list, ` + "`NAME`" + ` for a name that you choose.

| key | type | default | values | meaning |
| --- | --- | --- | --- | --- |
`)
	r.section("", reflect.TypeFor[Config]())
	return []byte(r.b.String())
}

type reference struct {
	b        strings.Builder
	comments map[string]string
	shown    map[reflect.Type]string // where a struct that occurs more than once has its rows
}

func (r *reference) section(path string, t reflect.Type) {
	for _, k := range keysOf(t) {
		at := joinPath(path, k.name)
		below := at
		switch k.typ.Kind() {
		case reflect.Slice:
			below += "[]"
		case reflect.Map:
			below += ".NAME"
		}
		note := comment(r.comments, t, &k)
		first, again := r.shown[k.elem]
		if isStruct(k.elem) && again {
			note += " Keys as under `" + first + "`."
		}
		r.row(at, &k, note)
		if isStruct(k.elem) && !again {
			r.shown[k.elem] = below
			r.section(below, k.elem)
		}
	}
}

func (r *reference) row(path string, k *key, note string) {
	def := ""
	switch {
	case k.required:
		def = "**required**"
	case k.hasDef:
		def = "`" + k.def + "`"
	case k.unset != "":
		def = k.unset
	}
	values := k.values()
	if k.keyFormat != "" {
		if values != "" {
			values = "; each " + values
		}
		values = "keys: " + formats[k.keyFormat].what + values
	}
	cells := []string{"`" + path + "`", k.describe(), def, values, note}
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	fmt.Fprintf(&r.b, "| %s |\n", strings.Join(cells, " | "))
}

// describe is the type of the key in a word or two.
func (k *key) describe() string {
	one := "text"
	switch {
	case isStruct(k.elem):
		one = "section"
	case k.elem == urlType:
		one = "URL"
	case k.elem == addrType:
		one = "IP address"
	case k.elem == sizeType:
		one = "size"
	case k.elem == durationType:
		one = "duration"
	case k.elem == ttlType:
		one = "duration or {force: duration}"
	case k.elem == orOffType:
		one = "duration or off"
	case k.elem == locationType:
		one = "two numbers"
	case k.elem.Kind() == reflect.Bool:
		one = "true or false"
	case k.elem.Kind() == reflect.Int:
		one = "whole number"
	case k.elem.Kind() == reflect.Float64:
		one = "number"
	}
	switch k.typ.Kind() {
	case reflect.Slice:
		return "list of " + one
	case reflect.Map:
		return "NAME: " + one
	}
	return one
}
