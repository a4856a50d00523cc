// Package rule is a site's rules: which requests they match and what they do.
//
// All rules that match apply, in order; of each action the last one said
// counts, header operations add up. Rules match on normalised facts (package
// cachekey), which are also what is keyed and forwarded, so a rule cannot be
// walked round by another spelling of the same request.
//
// Rules arrive as Spec, are checked and compiled once into a Set, which is
// immutable and safe for concurrent use. Eval allocates nothing unless more
// than four matching rules have header operations for one side, or a query
// condition meets escapes.
//
// A rule that looks at a header field, a cookie or the query (of which the key
// may hold a part only) and then changes what is fetched (another pool, another
// path, other request fields) would let two different responses have one key.
// Actions.Branch keeps them apart: put it into the key. The method does not
// count: only GET fills the cache, and an unsafe method must find what a GET
// has stored.
package rule
