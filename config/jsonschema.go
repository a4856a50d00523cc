package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Schema is the JSON Schema (draft 2020-12) of a configuration file, for editors.
// It is made from the same tags and comments that Parse works by, and accepts
// whatever Parse accepts. What JSON Schema cannot say (the range of a size, that a
// rule's pool exists) is left to Parse, and ${NAME} passes anywhere.
func Schema() ([]byte, error) {
	g := generator{comments: comments(), defs: object{}}
	root := g.section(reflect.TypeFor[Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Levee configuration"
	root["$defs"] = g.defs
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write the JSON Schema: %w", err)
	}
	return b.Bytes(), nil
}

type object = map[string]any

type generator struct {
	comments map[string]string
	defs     object // one for each struct but Config
}

// section is the schema of the struct t.
func (g *generator) section(t reflect.Type) object {
	properties := object{}
	var required []string
	for _, k := range keysOf(t) {
		s := g.value(&k)
		s["description"] = comment(g.comments, t, &k)
		if k.unset != "" {
			s["description"] = fmt.Sprintf("%s Default: %s.", s["description"], k.unset)
		}
		if k.hasDef {
			s["default"] = jsonDefault(&k)
		}
		properties[k.name] = s
		if k.required {
			required = append(required, k.name)
		}
	}
	// null: a section without content is as if it were not there.
	s := object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["type"], s["required"] = "object", required
	}
	return s
}

// value is the schema of what stands behind the key k.
func (g *generator) value(k *key) object {
	one := g.one(k)
	switch k.typ.Kind() {
	case reflect.Slice:
		many := object{"type": "array", "items": one}
		if k.required {
			many["minItems"] = 1
		}
		if isStruct(k.elem) {
			if !k.required {
				many["type"] = []string{"array", "null"}
			}
			return many
		}
		choices := []any{many, one}
		if k.off {
			choices = append(choices, object{"const": "off"})
		}
		return object{"anyOf": choices}
	case reflect.Map:
		return object{"type": []string{"object", "null"}, "additionalProperties": one}
	}
	return one
}

// variable is the schema of a text that an environment variable makes up: what
// it will be is not known to an editor.
func variable() object { return object{"type": "string", "pattern": `\$\{`} }

// one is the schema of a single value of k.
func (g *generator) one(k *key) object {
	t := k.elem
	or := func(choices ...any) object { return object{"anyOf": append(choices, variable())} }
	size := object{"type": []string{"string", "integer"}, "pattern": `^[0-9]+(B|[KMGTP]iB)?$`, "minimum": 0}
	duration := object{"type": []string{"string", "integer"}, "pattern": `^([0-9]+d)?([0-9.]+(ns|us|µs|μs|ms|s|m|h))*$|^0+$`, "minimum": 0, "maximum": 0}
	switch t {
	case sizeType:
		return or(size)
	case durationType:
		return or(duration)
	case orOffType:
		return or(duration, object{"const": "off"})
	case ttlType:
		return or(duration, object{
			"type": "object", "additionalProperties": false, "required": []string{"force"},
			"properties": object{"force": or(duration)},
		})
	case locationType:
		return object{
			"type": "array", "minItems": 2, "maxItems": 2, "items": false,
			"prefixItems": []any{
				or(object{"type": "number", "minimum": -90, "maximum": 90}),
				or(object{"type": "number", "minimum": -180, "maximum": 180}),
			},
		}
	case addrType, urlType:
		return object{"type": "string"}
	}
	if isStruct(t) {
		if _, ok := g.defs[t.Name()]; !ok {
			g.defs[t.Name()] = object{} // as a place holder, should a struct ever hold itself
			g.defs[t.Name()] = g.section(t)
		}
		return object{"$ref": "#/$defs/" + t.Name()}
	}
	switch t.Kind() {
	case reflect.Bool:
		return or(object{"type": "boolean"})
	case reflect.Int, reflect.Float64:
		s := object{"type": "integer"}
		if t.Kind() == reflect.Float64 {
			s["type"] = "number"
		}
		if len(k.enum) > 0 {
			return or(object{"enum": rawList(k.enum)})
		}
		s["minimum"], s["maximum"] = json.RawMessage(k.min), json.RawMessage(k.max)
		if k.zero != "" && k.bound(k.min).float > 0 {
			return or(s, object{"const": 0})
		}
		return or(s)
	}
	if len(k.enum) > 0 {
		choices := object{"enum": k.enum}
		if _, err := strconv.ParseFloat(k.enum[0], 64); err == nil { // min_version: 1.2 needs no quotes
			return or(choices, object{"enum": rawList(k.enum)})
		}
		return or(choices)
	}
	return object{"type": []string{"string", "number"}} // a number is text where text is asked for
}

func rawList(texts []string) []json.RawMessage {
	list := make([]json.RawMessage, len(texts))
	for i, t := range texts {
		list[i] = json.RawMessage(t)
	}
	return list
}

// jsonDefault is the default of k as JSON.
func jsonDefault(k *key) any {
	switch k.elem.Kind() {
	case reflect.Bool, reflect.Int, reflect.Float64:
		if k.elem != sizeType && k.elem != durationType {
			return json.RawMessage(k.def)
		}
	}
	return strings.TrimSpace(k.def)
}
