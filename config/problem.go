package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one mistake in a configuration, or a warning about it.
type Problem struct {
	File      string // name of the file; empty for a Config that was built in code
	Line, Col int    // place in the file, from 1; 0 without a file
	Path      string // the key, as sites[0].origin.members[1].url; empty for the file as a whole
	What      string // what is wrong
	Hint      string // what to write instead; may be empty
	Warning   bool   // the configuration works, though not as it reads
}

// String is FILE:LINE:COL: PATH: what; what to write instead. A warning has the
// word "warning:" after the place.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		b.WriteByte(':')
	}
	if p.Line > 0 {
		b.WriteString(strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col) + ":")
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Failed tells whether any of the problems is more than a warning. A Config with
// such a problem must not be used.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
}

// sortProblems puts problems in the order of the file.
func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
