package config

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what the YAML parser is given. It recurses on nesting and a deep
// enough recursion ends the process, which recover cannot stop; so depth is
// bounded before it runs. The schema itself is nine deep.
const (
	maxNesting = 64        // of [ ] and { }, and of - and ? and : and tags in a row
	maxIndent  = 512       // columns before a block's - or key, which bounds its depth
	maxTokens  = 2_000_000 // more than 8 MiB of real configuration has
	maxEmpty   = 1000      // empty lines in a row: the scanner copies a block scalar for each that ends it
)

// place is a position in a file, from 1.
type place struct{ line, col int }

// placeOf is where n begins. A mapping begins at its first key, where the
// parser's own token for it is a colon further on.
func placeOf(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return placeOf(n.Key)
	case *ast.LiteralNode:
		return tokenPlace(n.Start)
	case *ast.AnchorNode:
		return tokenPlace(n.Start)
	case *ast.AliasNode:
		return tokenPlace(n.Start)
	case *ast.TagNode:
		return tokenPlace(n.Start)
	}
	return tokenPlace(n.GetToken())
}

func tokenPlace(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// syntaxError is a text that is not one document of YAML.
type syntaxError struct {
	at         place
	what, hint string
}

// parseYAML reads src as one YAML document and returns its content, nil when it
// has none, and its number of tokens. Duplicate keys are left in.
func parseYAML(src []byte) (body ast.Node, words int, bad *syntaxError) {
	if len(src) > maxFile {
		return nil, 0, &syntaxError{place{1, 1}, "the file is larger than 8MiB", "split it, or leave out what is not configuration"}
	}
	if !utf8.Valid(src) {
		return nil, 0, &syntaxError{invalidAt(src), "the text is not valid UTF-8", "save the file as UTF-8"}
	}
	if i := strings.IndexFunc(string(src), func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }); i >= 0 {
		return nil, 0, &syntaxError{offsetPlace(src, i), fmt.Sprintf("the text has the control character %q", src[i]), "delete it"}
	}
	if i := emptyRun(src); i >= 0 {
		return nil, 0, &syntaxError{offsetPlace(src, i), fmt.Sprintf("more than %d empty lines begin here", maxEmpty), "delete them"}
	}
	// The parser has panicked on odd input before (goccy/go-yaml issues); the
	// file is from outside, so such a panic is one more way of not being YAML.
	defer func() {
		if r := recover(); r != nil {
			body, words, bad = nil, 0, &syntaxError{place{1, 1}, fmt.Sprintf("the YAML parser fails on this text: %s", firstLine(fmt.Sprint(r))), "simplify it"}
		}
	}()
	tokens, bad := tokenize(string(src))
	if bad != nil {
		return nil, 0, bad
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, 0, explain(src, err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			at := placeOf(doc.Body)
			if doc.Start != nil {
				at = tokenPlace(doc.Start)
			}
			return nil, 0, &syntaxError{at, "a second document begins here", "keep one document in a file: delete the --- and what follows"}
		}
		body = doc.Body
	}
	return body, len(tokens), nil
}

// tokenize cuts src into tokens and refuses what would nest too deep or be too
// much for the parser.
func tokenize(src string) (token.Tokens, *syntaxError) {
	var s scanner.Scanner
	s.Init(src)
	var tokens token.Tokens
	var depth, row, line int // row: openers since the last separator, which nest within each other
	for {
		part, err := s.Scan()
		if errors.Is(err, io.EOF) {
			return tokens, nil
		}
		for _, t := range part {
			at := tokenPlace(t)
			if depth == 0 && at.line != line {
				row = 0
			}
			line = at.line
			switch t.Type {
			case token.MappingStartType, token.SequenceStartType:
				depth++
				row = 0
			case token.MappingEndType, token.SequenceEndType:
				depth = max(depth-1, 0)
				row = 0
			case token.CollectEntryType:
				row = 0
			case token.SequenceEntryType, token.MappingKeyType, token.MappingValueType, token.TagType, token.AnchorType:
				row++
				if depth == 0 && t.Position.IndentNum > maxIndent {
					return nil, &syntaxError{at, "the text is indented too deep", fmt.Sprintf("indent by at most %d columns", maxIndent)}
				}
			}
			if depth > maxNesting || row > maxNesting {
				return nil, &syntaxError{at, "the text is nested too deep", fmt.Sprintf("nest at most %d deep", maxNesting)}
			}
		}
		tokens.Add(part...)
		if len(tokens) > maxTokens {
			return nil, &syntaxError{tokenPlace(tokens[len(tokens)-1]), "the file has too much in it", fmt.Sprintf("keep it under %d words and signs", maxTokens)}
		}
	}
}

// emptyRun is where more than maxEmpty empty lines begin in src, or -1.
func emptyRun(src []byte) int {
	start, lines := 0, 0
	for i, c := range src {
		switch c {
		case '\n', '\r':
			if lines++; lines > maxEmpty {
				return start
			}
		case ' ', '\t':
		default:
			start, lines = i, 0
		}
	}
	return -1
}

// explain turns an error of the parser into one with a place.
func explain(src []byte, err error) *syntaxError {
	var e interface { // the parser's own error type is in its internal folder
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &e) {
		return &syntaxError{place{1, 1}, "this is not YAML: " + firstLine(err.Error()), ""}
	}
	bad := &syntaxError{at: tokenPlace(e.GetToken()), what: "this is not YAML: " + firstLine(e.GetMessage())}
	text := lineOf(src, bad.at.line)
	switch {
	case strings.Contains(text, "${") && strings.ContainsAny(text, "[{"):
		bad.hint = `within { } and [ ] write "${NAME}" in quotes`
	case strings.HasPrefix(strings.TrimLeft(text, " "), "\t"):
		bad.hint = "indent with spaces, not tabs"
	default:
		bad.hint = "look at the indent, the quotes and the brackets of this line and the one before"
	}
	return bad
}

func firstLine(s string) string {
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = s[:i]
	}
	return s
}

func lineOf(src []byte, n int) string {
	for line := range strings.Lines(string(src)) {
		if n--; n == 0 {
			return line
		}
	}
	return ""
}

// offsetPlace is the place of the byte at i.
func offsetPlace(src []byte, i int) place {
	before := string(src[:i])
	start := strings.LastIndexByte(before, '\n') + 1
	return place{strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1}
}

func invalidAt(src []byte) place {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n <= 1 {
			return offsetPlace(src, i)
		}
		i += n
	}
	panic("BUG: config: invalidAt on valid UTF-8")
}
