package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// scalar reads one value that is not a section into v and tells whether it could.
func (d *decoder) scalar(path string, k *key, n ast.Node, v reflect.Value) bool {
	at := placeOf(n)
	switch p := v.Addr().Interface().(type) {
	case *TTL:
		switch n.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			return d.forced(path, k, n, p)
		}
	case *Location:
		return d.location(path, n, p)
	}
	source, ok := scalarOf(n)
	if !ok || n.Type() == ast.NullType {
		d.wrongType(path, n, v.Type())
		return false
	}
	text, err := source, error(nil)
	if isText(n) {
		if text, err = d.expand(source); err != nil {
			d.fail(at, path, err.Error(), "write ${NAME} for a variable that is set, and $${ for the characters ${")
			return false
		}
	}
	kind := v.Kind()
	switch {
	case inQuotes(n) && text == source && v.Type() != sizeType && v.Type() != durationType && (kind == reflect.Bool || kind == reflect.Int || kind == reflect.Float64),
		kind == reflect.String && n.Type() == ast.BoolType:
		d.wrongType(path, n, v.Type())
		return false
	}
	if err = setScalar(text, v); err == nil {
		err = k.checkScalar(v, true)
	}
	if err != nil {
		d.refuse(at, path, k, source, text, err)
		return false
	}
	if k.format == "host_pattern" || k.format == "match_host" {
		v.SetString(normalHost(text))
	}
	return true
}

// refuse reports the text of a scalar that k does not take. A text that an
// environment variable brought may be a secret: the source is shown instead.
func (d *decoder) refuse(at place, path string, k *key, source, text string, err error) {
	hint := k.hint()
	if err.Error() == "has no unit" && text == source {
		hint = "write " + text + "s for seconds"
	} else if near := nearest(text, k.enum); near != "" && text == source && strings.Trim(text, "0123456789.") != "" {
		hint = "did you mean " + near + "?"
	}
	d.fail(at, path, quote(source)+" "+err.Error(), hint)
}

// forced reads {force: duration}.
func (d *decoder) forced(path string, k *key, n ast.Node, t *TTL) bool {
	const force = "force"
	found := false
	for _, e := range d.entries(path, n, 0) {
		p := joinPath(path, e.name)
		if e.name != force {
			d.fail(e.at, p, "is not a key of the configuration", "the key here is force")
			continue
		}
		found = true
		d.places[p] = places{e.at, placeOf(e.value)}
		value, ok := d.plain(p, e.value)
		if !ok {
			return false
		}
		if _, ok := scalarOf(value); !ok || value.Type() == ast.NullType {
			d.fail(placeOf(e.value), p, "is not a duration", "write a duration like 30s")
			return false
		}
		if !d.scalar(p, k, value, reflect.ValueOf(t).Elem()) {
			return false
		}
		t.Force = true
	}
	if !found {
		d.fail(placeOf(n), joinPath(path, force), "is missing", "write a duration, or {force: 30s}")
	}
	return found
}

// location reads [latitude, longitude].
func (d *decoder) location(path string, n ast.Node, l *Location) bool {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongType(path, n, locationType)
		return false
	}
	if len(seq.Values) != 2 {
		d.fail(placeOf(n), path, fmt.Sprintf("has %d numbers", len(seq.Values)), "write [latitude, longitude] in degrees")
		return false
	}
	read := true
	for i, to := range [...]*float64{&l.Lat, &l.Lon} {
		limit := [...]string{"90", "180"}[i]
		k := key{typ: reflect.TypeFor[float64](), elem: reflect.TypeFor[float64](), min: "-" + limit, max: limit}
		p := path + "[" + strconv.Itoa(i) + "]"
		item, ok := d.plain(p, seq.Values[i])
		read = ok && d.scalar(p, &k, item, reflect.ValueOf(to).Elem()) && read
	}
	return read
}

// wrongType reports that n cannot be a value of the type want.
func (d *decoder) wrongType(path string, n ast.Node, want reflect.Type) {
	is, hint := "is a section of keys", "write "+typeName(want)
	if isStruct(want) {
		hint = "write a section with the keys " + keyNames(want)
	}
	switch n.(type) {
	case *ast.SequenceNode:
		is = "is a list"
	case *ast.MappingNode, *ast.MappingValueNode:
	case *ast.NullNode:
		is = "has no value"
	default:
		text, _ := scalarOf(n)
		is = quote(text) + " is not " + typeName(want)
		switch {
		case want.Kind() == reflect.String:
			hint = `write "` + text + `", in quotes`
		case inQuotes(n) && !isStruct(want) && want.Kind() != reflect.Slice && want.Kind() != reflect.Map:
			hint += ", without quotes"
		}
	}
	if !strings.Contains(is, typeName(want)) {
		is += ", not " + typeName(want)
	}
	d.fail(placeOf(n), path, is, hint)
}
