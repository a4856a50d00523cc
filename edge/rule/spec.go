package rule

import (
	"time"

	"levee/edge/cachekey"
)

// Spec is one rule as written. An action that is nil or zero says nothing.
type Spec struct {
	Label string // where it stands, for errors and trails: "levee.yaml:41"; "" becomes "rule 1"
	Match MatchSpec

	TTL                  *TTL
	StaleWhileRevalidate *time.Duration // ≥ 0
	StaleIfError         *time.Duration // ≥ 0
	Bypass               *bool          // past the cache; a later false takes it back
	StoreSetCookie       *bool
	StoreAuthorization   *bool
	StoreStatuses        []int           // 200 to 599; nil says nothing, empty takes back
	Query                *cachekey.Query // which parameters are keyed and forwarded
	KeyHeaders           []string        // fields in the key; nil says nothing, empty takes back
	KeyCookies           []string        // cookies in the key; as KeyHeaders
	Request, Response    []HeaderOp      // towards the origin, towards the client
	Redirect             *Redirect
	Origin               string // name of another pool
	Rewrite              *Rewrite
}

// TTL is a freshness lifetime, ≥ 0, that counts where the origin states none,
// or with Force always.
type TTL struct {
	For   time.Duration
	Force bool
}

// MatchSpec is a rule's conditions. All that are given must hold; none matches
// everything. Globs are those of cachekey.Glob: `*` any run of bytes, also
// empty and with "/", `?` one byte.
type MatchSpec struct {
	Methods []string     // any of, as written in requests: GET
	Hosts   []string     // any of these globs, in whatever case
	Paths   []string     // any of these globs, with case
	Headers []FieldMatch // all of
	Cookies []FieldMatch // all of; names with case
	Query   []FieldMatch // all of; names with case, compared with escapes decoded
}

// FieldMatch is a condition on a named header field, cookie or query parameter.
type FieldMatch struct {
	Name   string
	Values []string // any of these globs, on any line or occurrence; none: it is enough that there is one
	Absent bool     // there must be none; without Values
}

// Op is what a HeaderOp does.
type Op uint8

const (
	OpSet    Op = iota // replace all lines by one
	OpAdd              // one line more
	OpRemove           // no line; without Value
)

// HeaderOp is an operation on a header.
type HeaderOp struct {
	Op          Op
	Name, Value string
}

// Redirect answers without the origin. To may contain {host}, {path} and
// {query}, which stand for the request's own; it begins with https://, http://,
// "/" or {path}. A "?" or "&" before a {query} at the end goes when there is no
// query.
type Redirect struct {
	To     string
	Status int // 301 302 303 307 308; 0 is 302
}

// Rewrite changes the path that is sent to the origin, not the one that is
// keyed: StripPrefix goes if the path begins with it at a "/", then AddPrefix is
// put in front. Both begin with "/".
type Rewrite struct{ StripPrefix, AddPrefix string }
