package config

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

// schemaTest judges values by a JSON Schema: the keywords that Schema uses, and
// no others. It stands in for an editor.
type schemaTest struct {
	t        *testing.T
	root     map[string]any
	patterns map[string]*regexp.Regexp
}

func newSchemaTest(t *testing.T) *schemaTest {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	s := &schemaTest{t: t, patterns: map[string]*regexp.Regexp{}}
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatalf("Schema is not JSON: %v", err)
	}
	return s
}

// judge is nil, or what is wrong with v.
func (s *schemaTest) judge(path string, schema map[string]any, v any) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
	}
	for word, arg := range schema {
		switch word {
		case "$schema", "$defs", "title", "description", "default":
		case "$ref":
			name, ok := strings.CutPrefix(arg.(string), "#/$defs/")
			def, found := s.root["$defs"].(map[string]any)[name].(map[string]any)
			if !ok || !found {
				s.t.Fatalf("the schema refers to %v, which is not there", arg)
			}
			if err := s.judge(path, def, v); err != nil {
				return err
			}
		case "type":
			types, ok := arg.([]any)
			if !ok {
				types = []any{arg}
			}
			if !slices.ContainsFunc(types, func(t any) bool { return hasType(v, t.(string)) }) {
				return wrong("%v is not %v", v, arg)
			}
		case "const":
			if !reflect.DeepEqual(arg, v) {
				return wrong("%v is not %v", v, arg)
			}
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(e any) bool { return reflect.DeepEqual(e, v) }) {
				return wrong("%v is not in %v", v, arg)
			}
		case "pattern":
			p := s.patterns[arg.(string)]
			if p == nil {
				p = regexp.MustCompile(arg.(string))
				s.patterns[arg.(string)] = p
			}
			if text, ok := v.(string); ok && !p.MatchString(text) {
				return wrong("%q does not match %s", text, arg)
			}
		case "minimum", "maximum":
			n, ok := v.(float64)
			if ok && (word == "minimum" && n < arg.(float64) || word == "maximum" && n > arg.(float64)) {
				return wrong("%v is beyond the %s %v", n, word, arg)
			}
		case "required":
			for _, k := range arg.([]any) {
				if m, ok := v.(map[string]any); ok && m[k.(string)] == nil {
					return wrong("%v is missing", k)
				}
			}
		case "minItems", "maxItems":
			list, ok := v.([]any)
			if ok && (word == "minItems" && len(list) < int(arg.(float64)) || word == "maxItems" && len(list) > int(arg.(float64))) {
				return wrong("%d items", len(list))
			}
		case "prefixItems":
			if list, ok := v.([]any); ok {
				for i, item := range arg.([]any) {
					if i < len(list) {
						if err := s.judge(fmt.Sprintf("%s[%d]", path, i), item.(map[string]any), list[i]); err != nil {
							return err
						}
					}
				}
			}
		case "items":
			each, ok := arg.(map[string]any) // false after prefixItems, with maxItems to the same end
			if list, isList := v.([]any); ok && isList {
				for i, item := range list {
					if err := s.judge(fmt.Sprintf("%s[%d]", path, i), each, item); err != nil {
						return err
					}
				}
			}
		case "properties", "additionalProperties":
			m, ok := v.(map[string]any)
			if !ok {
				continue
			}
			properties, _ := schema["properties"].(map[string]any)
			for name, value := range m {
				of, known := properties[name].(map[string]any)
				if !known {
					if schema["additionalProperties"] == false {
						return wrong("unknown key %s", name)
					}
					of = schema["additionalProperties"].(map[string]any)
				}
				if err := s.judge(path+"."+name, of, value); err != nil {
					return err
				}
			}
		case "anyOf":
			var all []error
			for _, choice := range arg.([]any) {
				err := s.judge(path, choice.(map[string]any), v)
				if err == nil {
					all = nil
					break
				}
				all = append(all, err)
			}
			if len(all) > 0 {
				return wrong("none of %v", all)
			}
		default:
			s.t.Fatalf("the test does not know the keyword %s", word)
		}
	}
	return nil
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == float64(int64(v))
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

// asJSON is a YAML document as an editor hands it to a JSON Schema; ok is false
// when it cannot.
func asJSON(src []byte) (v any, ok bool) {
	if !utf8.Valid(src) {
		return nil, false
	}
	text, err := yaml.YAMLToJSON(src)
	return v, err == nil && json.Unmarshal(text, &v) == nil
}

func TestSchemaTakesGoodFiles(t *testing.T) {
	s := newSchemaTest(t)
	for _, path := range files(t, "*.good.yaml", 5) {
		v, ok := asJSON(read(t, path))
		if !ok {
			t.Fatalf("%s is not YAML for the library", path)
		}
		if err := s.judge("", s.root, v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// An editor sees the mistakes that have to do with shape; what needs more than
// shape is in values, references and the like.
func TestSchemaRefusesBadFiles(t *testing.T) {
	s := newSchemaTest(t)
	for _, name := range []string{"unknown", "types", "enums", "missing", "scalar"} {
		v, ok := asJSON(read(t, filepath.Join("testdata", name+".bad.yaml")))
		if !ok {
			t.Fatalf("%s is not YAML for the library", name)
		}
		if s.judge("", s.root, v) == nil {
			t.Errorf("%s.bad.yaml passes the schema", name)
		}
	}
}

// asValue is the document that render writes, as an editor sees it.
func (d *document) asValue(t *testing.T, branches []*branch) map[string]any {
	scalar := func(text string) any {
		v, ok := asJSON([]byte(text))
		if !ok {
			t.Fatalf("%s is not YAML for the library", text)
		}
		return v
	}
	section := map[string]any{}
	for _, b := range branches {
		here := b.path == d.path
		switch {
		case here && d.drop:
		case here && d.replace != "":
			section[b.name] = scalar(d.replace)
		case b.item:
			section[b.name] = []any{d.asValue(t, b.children)}
		case b.children != nil:
			section[b.name] = d.asValue(t, b.children)
		default:
			section[b.name] = scalar(unquote(b))
		}
		if here && d.beside != "" {
			section[d.beside] = 1.0
		}
	}
	return section
}

// For each key of the schema: a right value passes, an unknown sibling and a
// missing key do not.
func TestSchemaByKey(t *testing.T) {
	t.Parallel()
	s := newSchemaTest(t)
	all := every("", reflect.TypeFor[Config]())
	check := func(what string, d *document, branches []*branch, want bool) {
		t.Helper()
		if err := s.judge("", s.root, d.asValue(t, branches)); (err == nil) != want {
			t.Errorf("%s of %s: %v, want right: %v", what, d.path, err, want)
		}
	}
	check("nothing", new(document), all, true)
	for _, top := range all {
		under := []*branch{top} // no section at the top is required
		flat := flatten(under)
		for _, b := range flat {
			if b.name != b.key.name {
				continue
			}
			if b != top {
				check("unknown sibling", &document{path: b.path, beside: "zzz_unknown"}, under, false)
			}
			check("wrong type", &document{path: b.path, replace: "[[[1]]]"}, under, false)
			check("variable", &document{path: b.path, replace: `"${X}"`}, under, b.children == nil && b.path != "node.location")
			if b.key.required {
				check("missing", &document{path: b.path, drop: true}, under, false)
			}
		}
	}
}
