package config

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// plain takes anchors and aliases from n: what is left is what the document says
// there. It is not ok when an alias leads nowhere or to itself, or when n has a
// tag, which no value here can; d has then reported it.
func (d *decoder) plain(path string, n ast.Node) (ast.Node, bool) {
	for range maxNesting {
		if d.visits++; d.visits > d.most {
			return nil, false // reported once, by parse
		}
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.AliasNode:
			name := strings.TrimSpace(x.Value.GetToken().Value)
			target, ok := d.anchors[name]
			if !ok {
				d.fail(placeOf(x), path, "there is no anchor "+quote("&"+name), "define it, or write the value itself")
				return nil, false
			}
			n = target
		case *ast.TagNode:
			d.fail(placeOf(x), path, "has the tag "+quote(x.Start.Value), "delete the tag: a key's type is known")
			return nil, false
		case nil:
			return nil, true
		default:
			return n, true
		}
	}
	d.fail(placeOf(n), path, "has an alias that leads to itself", "write the value itself")
	return nil, false
}

// findAnchors collects the values of the anchors below n.
func (d *decoder) findAnchors(n ast.Node) {
	switch x := n.(type) {
	case *ast.AnchorNode:
		name := x.Name.GetToken().Value
		if _, twice := d.anchors[name]; twice {
			d.add(Problem{What: "the anchor " + quote("&"+name) + " is defined twice", Hint: "give it another name"}, placeOf(x))
		}
		d.anchors[name] = x.Value
		d.findAnchors(x.Value)
	case *ast.TagNode:
		d.findAnchors(x.Value)
	case *ast.MappingNode:
		for _, v := range x.Values {
			d.findAnchors(v)
		}
	case *ast.MappingValueNode:
		d.findAnchors(x.Key)
		d.findAnchors(x.Value)
	case *ast.MappingKeyNode:
		d.findAnchors(x.Value)
	case *ast.SequenceNode:
		for _, v := range x.Values {
			d.findAnchors(v)
		}
	}
}

// entry is one key of a mapping with its value.
type entry struct {
	name  string
	at    place // of the key
	value ast.Node
}

// entries lists the keys of the mapping n in file order, what its merge keys
// bring at the end. Duplicate keys are reported and the later left out.
func (d *decoder) entries(path string, n ast.Node, merges int) []entry {
	var list []*ast.MappingValueNode
	switch x := n.(type) {
	case *ast.MappingNode:
		list = x.Values
	case *ast.MappingValueNode:
		list = []*ast.MappingValueNode{x}
	}
	own := make([]entry, 0, len(list))
	var merged []entry
	seen := make(map[string]bool, len(list))
	for _, kv := range list {
		if d.visits++; d.visits > d.most {
			return own
		}
		if kv.Key.IsMergeKey() {
			merged = append(merged, d.merge(path, kv.Value, merges+1)...)
			continue
		}
		name, ok := d.keyText(path, kv.Key)
		if !ok {
			continue
		}
		e := entry{name: name, at: placeOf(kv.Key), value: kv.Value}
		if seen[name] {
			d.fail(e.at, joinPath(path, name), "is written twice", "keep one of the two")
			continue
		}
		seen[name] = true
		own = append(own, e)
	}
	for _, e := range merged {
		if !seen[e.name] {
			seen[e.name] = true
			own = append(own, e)
		}
	}
	return own
}

// merge lists the keys that the merge key << with value n brings.
func (d *decoder) merge(path string, n ast.Node, merges int) []entry {
	at := placeOf(n)
	if merges > 16 {
		d.fail(at, path, "has merge keys (<<) nested too deep", "write the keys themselves")
		return nil
	}
	n, ok := d.plain(path, n)
	if !ok {
		return nil
	}
	switch x := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return d.entries(path, x, merges)
	case *ast.SequenceNode:
		var all []entry
		for _, v := range x.Values {
			all = append(all, d.merge(path, v, merges)...)
			if d.visits > d.most {
				return nil
			}
		}
		return all
	}
	d.fail(at, path, "has a merge key (<<) without a section", "write << : *NAME, with &NAME at a section")
	return nil
}

func (d *decoder) keyText(path string, n ast.Node) (string, bool) {
	at := placeOf(n)
	if k, ok := n.(*ast.MappingKeyNode); ok {
		n = k.Value
	}
	n, ok := d.plain(path, n)
	if !ok {
		return "", false
	}
	text, ok := scalarOf(n)
	if !ok || n.Type() == ast.NullType {
		d.fail(at, path, "has a key that is not a word", "write keys as words")
		return "", false
	}
	return text, true
}

// scalarOf is the text of a scalar node, without its quotes; ok is false for
// anything that is not a scalar.
func scalarOf(n ast.Node) (text string, ok bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	case *ast.NullNode:
		return "", true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return strings.TrimSpace(x.GetToken().Value), true
	}
	return "", false
}

// isText tells whether a scalar is text to YAML, and not a number or the like.
func isText(n ast.Node) bool {
	return n.Type() == ast.StringType || n.Type() == ast.LiteralType
}

// inQuotes tells whether a scalar is written so that it can only be text. One
// that a variable is in may have to be, and then says nothing.
func inQuotes(n ast.Node) bool {
	if n.Type() == ast.LiteralType {
		return true
	}
	t := n.GetToken().Type
	return t == token.SingleQuoteType || t == token.DoubleQuoteType
}
