package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// key is one key of the schema: what the tags of one struct field say.
type key struct {
	name      string
	index     int          // of the field in its struct
	typ       reflect.Type // of the field, a pointer taken away
	elem      reflect.Type // of one value: typ, or what the list or map typ holds
	def       string       // as written; hasDef tells "" from none
	hasDef    bool
	min, max  string
	zero      string // what 0 means, where 0 is allowed beside min..max
	unset     string // what holds without the key, in words
	enum      []string
	format    string
	keyFormat string
	required  bool
	off       bool
}

// keysOf lists the keys of a schema struct in the order of its fields; a field
// without a yaml tag is none.
func keysOf(t reflect.Type) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		name, ok := f.Tag.Lookup("yaml")
		if !ok {
			continue
		}
		k := key{
			name: name, index: i, typ: f.Type,
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), zero: f.Tag.Get("zero"), unset: f.Tag.Get("unset"),
			format: f.Tag.Get("format"), keyFormat: f.Tag.Get("keys"),
			required: f.Tag.Get("required") == "true", off: f.Tag.Get("off") == "true",
		}
		k.def, k.hasDef = f.Tag.Lookup("default")
		if e := f.Tag.Get("enum"); e != "" {
			k.enum = strings.Split(e, "|")
		}
		if k.typ.Kind() == reflect.Pointer && k.typ != urlType {
			k.typ = k.typ.Elem()
		}
		k.elem = k.typ
		if k.typ.Kind() == reflect.Slice || k.typ.Kind() == reflect.Map {
			k.elem = k.typ.Elem()
		}
		keys = append(keys, k)
	}
	return keys
}

var (
	urlType      = reflect.TypeFor[*url.URL]()
	addrType     = reflect.TypeFor[netip.Addr]()
	sizeType     = reflect.TypeFor[Size]()
	durationType = reflect.TypeFor[Duration]()
	ttlType      = reflect.TypeFor[TTL]()
	orOffType    = reflect.TypeFor[DurationOrOff]()
	locationType = reflect.TypeFor[Location]()
)

// isStruct tells whether values of t are sections with keys of their own.
func isStruct(t reflect.Type) bool {
	switch t {
	case addrType, ttlType, orOffType, locationType:
		return false
	}
	return t.Kind() == reflect.Struct
}

// typeName is what messages call a value of t, with its article.
func typeName(t reflect.Type) string {
	switch t {
	case urlType:
		return "a URL"
	case addrType:
		return "an IP address"
	case sizeType:
		return "a size like 64MiB"
	case durationType:
		return "a duration like 30s"
	case ttlType:
		return "a duration like 30s, or {force: 30s}"
	case orOffType:
		return "a duration like 30s, or off"
	case locationType:
		return "[latitude, longitude]"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a section of keys"
	}
	return "text"
}

// setScalar parses the text of a scalar into v. The error is a predicate of the
// text: "is not a size".
func setScalar(text string, v reflect.Value) error {
	var err error
	switch p := v.Addr().Interface().(type) {
	case *Size:
		*p, err = ParseSize(text)
		return err
	case *Duration:
		*p, err = ParseDuration(text)
		return err
	case *TTL:
		p.Duration, err = ParseDuration(text)
		return err
	case *DurationOrOff:
		if text == "off" {
			*p = DurationOrOff{Off: true}
			return nil
		}
		p.Duration, err = ParseDuration(text)
		return err
	case *netip.Addr:
		if *p, err = netip.ParseAddr(text); err != nil || p.Zone() != "" {
			return errors.New("is not an IP address")
		}
		return nil
	case **url.URL:
		*p, err = parseOriginURL(text)
		return err
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("is not true or false")
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			return errors.New("is out of all bounds")
		}
		// A leading zero meant octal in older YAML: refused rather than read as either.
		if err != nil || len(text) > 1 && strings.TrimLeft(text, "+-")[0] == '0' {
			return errors.New("is not a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return errors.New("is not a number")
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("BUG: config: no scalar of type %s", v.Type()))
	}
	return nil
}

// scalarText is the text of a scalar as a file would have it.
func scalarText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case TTL:
		return x.Duration.String()
	case *url.URL:
		if x == nil {
			return ""
		}
		return x.String()
	case fmt.Stringer:
		return x.String()
	}
	return fmt.Sprint(v.Interface())
}

// number is the number in a scalar with a range; ok is false for one that has
// none to compare.
func number(v reflect.Value) (n magnitude, ok bool) {
	switch x := v.Interface().(type) {
	case TTL:
		return whole(int64(x.Duration)), true
	case DurationOrOff:
		return whole(int64(x.Duration)), !x.Off
	}
	switch {
	case v.CanInt():
		return whole(v.Int()), true
	case v.CanFloat():
		return magnitude{float: v.Float()}, true
	}
	return magnitude{}, false
}

// magnitude is a number to compare. A large whole number is not exact in the
// float; the integer then decides.
type magnitude struct {
	float float64
	whole int64
}

func whole(n int64) magnitude { return magnitude{float64(n), n} }

func (m magnitude) compare(n magnitude) int {
	return cmp.Or(cmp.Compare(m.float, n.float), cmp.Compare(m.whole, n.whole))
}

// checkScalar holds a parsed scalar against what k says of its values. The error
// is a predicate of the value. That a value is required is not looked at. written
// tells that the value stands in a file: there the zero value of a key with an
// unset tag is a value like any other, while in code it means unset.
func (k *key) checkScalar(v reflect.Value, written bool) error {
	text := scalarText(v)
	if !written && v.IsZero() && (k.zero != "" || k.unset != "" || k.typ == k.elem && v.Kind() == reflect.String) {
		return nil
	}
	if len(k.enum) > 0 {
		for _, e := range k.enum {
			if text == e {
				return nil
			}
		}
		return errors.New("is not one of " + strings.Join(k.enum, ", "))
	}
	if k.format != "" {
		if err := formats[k.format].check(text); err != nil {
			return err
		}
	}
	n, ok := number(v)
	zero := magnitude{}
	if !ok || k.min == "" || n == zero && k.zero != "" {
		return nil
	}
	low, high := k.bound(k.min), k.bound(k.max)
	switch {
	case n.compare(zero) < 0 && low.compare(zero) >= 0:
		return errors.New("is negative")
	case n.compare(low) < 0:
		return fmt.Errorf("is less than the minimum, %s", k.min)
	case n.compare(high) > 0:
		return fmt.Errorf("is more than the maximum, %s", k.max)
	}
	return nil
}

// bound is the number of a min or max tag.
func (k *key) bound(text string) magnitude {
	v := reflect.New(k.elem).Elem()
	if err := setScalar(text, v); err != nil {
		panic(fmt.Sprintf("BUG: config: bound %q of key %s %v", text, k.name, err))
	}
	n, _ := number(v)
	return n
}

// values says which values the key takes, for a table or a hint: "1KiB to 1MiB",
// "one of text, json". It is empty where any value of the type will do.
func (k *key) values() string {
	var parts []string
	switch {
	case len(k.enum) == 1:
		parts = append(parts, k.enum[0])
	case len(k.enum) > 1:
		parts = append(parts, "one of "+strings.Join(k.enum, ", "))
	case k.min != "":
		parts = append(parts, k.min+" to "+k.max)
	case k.format != "":
		parts = append(parts, formats[k.format].what)
	}
	if k.zero != "" {
		parts = append(parts, "or 0 ("+k.zero+")")
	}
	if k.off {
		parts = append(parts, "or off")
	}
	return strings.Join(parts, ", ")
}

// hint says what to write for one value of the key.
func (k *key) hint() string {
	switch {
	case isStruct(k.elem) && k.typ.Kind() == reflect.Slice:
		return "write a list of sections with the keys " + keyNames(k.elem)
	case isStruct(k.elem):
		return "write a section with the keys " + keyNames(k.elem)
	case len(k.enum) > 0 || k.format != "":
		return "write " + k.values()
	case k.min != "":
		what, _, _ := strings.Cut(typeName(k.elem), " like ")
		return "write " + what + " from " + k.values()
	}
	return "write " + typeName(k.elem)
}

func keyNames(t reflect.Type) string {
	var names []string
	for _, k := range keysOf(t) {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

// setDefaults fills the struct v, all of zero values, with the defaults of its
// keys and of the sections in it. Pointers, maps and lists without a default
// stay nil.
func setDefaults(v reflect.Value) {
	for _, k := range keysOf(v.Type()) {
		f := v.Field(k.index)
		switch {
		case k.hasDef && f.Kind() == reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 0, 1))
			if k.off && k.def == "off" {
				continue
			}
			e := reflect.New(k.elem).Elem()
			k.setDefault(e)
			f.Set(reflect.Append(f, e))
		case k.hasDef:
			k.setDefault(f)
		case f.Kind() == reflect.Struct && isStruct(f.Type()):
			setDefaults(f)
		}
	}
}

func (k *key) setDefault(v reflect.Value) {
	if err := setScalar(k.def, v); err != nil {
		panic(fmt.Sprintf("BUG: config: default %q of key %s %v", k.def, k.name, err))
	}
}
