package config

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
)

// schemaSource is the schema itself, for its comments: what a key means is
// written once, above its field.
//
//go:embed schema.go schema_site.go schema_rule.go schema_fleet.go
var schemaSource embed.FS

// comments maps "Type.Field" to the comment of that field of the schema, in one
// line.
func comments() map[string]string {
	all := map[string]string{}
	files, err := schemaSource.ReadDir(".")
	if err != nil {
		panic("BUG: config: " + err.Error())
	}
	for _, f := range files {
		src, err := schemaSource.ReadFile(f.Name())
		if err != nil {
			panic("BUG: config: " + err.Error())
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			panic("BUG: config: " + err.Error()) // it compiled
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range st.Fields.List {
					for _, name := range field.Names {
						all[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
					}
				}
			}
			return false
		})
	}
	return all
}

// comment is what the key of the struct t means.
func comment(all map[string]string, t reflect.Type, k *key) string {
	name := t.Name() + "." + t.Field(k.index).Name
	if all[name] == "" {
		panic(fmt.Sprintf("BUG: config: the field %s has no comment", name))
	}
	return all[name]
}
