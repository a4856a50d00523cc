// Package config is Levee's configuration: the schema as commented structs,
// strict loading of a YAML file, and every mistake of it at once, each with its
// line and with what to write instead.
//
// One source feeds everything. A field of a schema struct (schema.go,
// schema_site.go, schema_rule.go, schema_fleet.go) says in its tag what the key
// is called, what it defaults to and which values it takes, and in its comment
// what it means; decoding, defaults, checks, the JSON Schema (Schema) and the
// table in the user guide (Reference) are all read from there. The tags are:
//
//	yaml      the key
//	default   what holds when the key is not written, as it would be written
//	min, max  range of a number, size or duration, both inclusive
//	zero      what 0 means; 0 is then allowed beside min..max
//	unset     what holds when the key is not written and has no fixed default
//	enum      the values allowed, separated by |
//	required  "true": a file without the key is wrong
//	off       "true": the single word off is allowed and means an empty list
//	format    the shape of each text in the value: a name in the table formats
//	keys      the shape of the keys of a map: a name in the same table
//
// # Reading a file
//
// The text is YAML of one document. Keys are never expanded; in every scalar
// value ${NAME} stands for the environment variable NAME and $${ for the two
// characters ${. What a variable holds is text of that one scalar: it never
// becomes structure, nor is it expanded again. A list of scalars may be written
// as its only element. Anchors, aliases and the merge key << work within a bound
// on what they expand to. A section without content (`tls:`) is as if it were
// not there; a value or a list of values without content is a mistake.
//
// Reading does no I/O but the file itself: whether a certificate or a secret
// exists is found out by the package that opens it.
package config
