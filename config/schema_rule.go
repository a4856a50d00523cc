package config

// Rule changes what happens to the requests that it matches. A pointer that is
// nil, an empty string and an empty list mean that the rule does not say.
type Rule struct {
	// Which requests: all conditions must hold. Without it: every request of the site.
	Match Match `yaml:"match"`
	// Freshness lifetime where the origin states none; `{force: 1s}` replaces what it states. Neither stores private, no-store or Set-Cookie answers.
	TTL *TTL `yaml:"ttl" min:"0s" max:"3650d"`
	// Stale windows where the response states none.
	Stale *RuleStale `yaml:"stale"`
	// `bypass`: neither answer from the cache nor store.
	Cache string `yaml:"cache" enum:"bypass"`
	// What is stored although it usually is not.
	Store []string `yaml:"store" enum:"set_cookie|authorization"`
	// Replaces the site's `key.query`.
	Query *Query `yaml:"query"`
	// Added to the site's `key`.
	Key RuleKey `yaml:"key"`
	// Changes to the request's header before it goes to the origin.
	Request HeaderOps `yaml:"request"`
	// Changes to the response's header before it goes to the client.
	Response HeaderOps `yaml:"response"`
	// Answer with a redirect.
	Redirect *Redirect `yaml:"redirect"`
	// Name of the pool in the site's `origins` that the request goes to.
	Origin string `yaml:"origin" format:"name"`
	// Changes to the path that is sent to the origin; the key keeps the client's.
	Rewrite Rewrite `yaml:"rewrite"`
}

// Match holds the conditions of a rule. In a pattern `*` stands for any run of
// characters, `/` included, and `?` for one.
type Match struct {
	// Patterns of the normalised path; one must match.
	Path []string `yaml:"path" format:"path_pattern"`
	// Request methods; one must be the request's.
	Methods []string `yaml:"methods" format:"method"`
	// Hosts of the site, as in `hosts`; one must match.
	Hosts []string `yaml:"hosts" format:"match_host"`
	// Pattern for each named header field; each must match one line of it. `*` asks only that it is there.
	Headers map[string]string `yaml:"headers" keys:"match_field" format:"pattern"`
	// Pattern for each named cookie; each must match.
	Cookies map[string]string `yaml:"cookies" keys:"token" format:"pattern"`
	// Pattern for each named parameter of the query; each must match one of its values.
	Query map[string]string `yaml:"query" keys:"query_name" format:"pattern"`
}

// TTL is a freshness lifetime that a rule states: written as a duration, or as
// {force: duration}.
type TTL struct {
	// Freshness lifetime.
	Duration Duration
	// Replace what the origin states.
	Force bool
}

// RuleStale holds the stale windows that a rule states; nil means that it does
// not say.
type RuleStale struct {
	// How long a stale response may be served while it is validated behind.
	WhileRevalidate *Duration `yaml:"while_revalidate" min:"1s" max:"3650d" zero:"not at all"`
	// How long a stale response may be served when the origin fails.
	IfError *Duration `yaml:"if_error" min:"1s" max:"3650d" zero:"not at all"`
}

// RuleKey adds parts to the key.
type RuleKey struct {
	// Request header fields that count.
	Headers []string `yaml:"headers" format:"field_name"`
	// Cookies that count.
	Cookies []string `yaml:"cookies" format:"token"`
}

// HeaderOps changes a header: first the removals, then set, then add. Fields
// that frame or steer one connection cannot be named (RFC 9110 section 7.6.1).
type HeaderOps struct {
	// Fields that get exactly this one line.
	Set map[string]string `yaml:"set" keys:"settable_field" format:"field_value"`
	// Fields that get this line more.
	Add map[string]string `yaml:"add" keys:"settable_field" format:"field_value"`
	// Fields that are taken away.
	Remove []string `yaml:"remove" format:"settable_field"`
}

// Redirect is an answer that sends the client elsewhere.
type Redirect struct {
	// Where to: an http or https URL, or a path. `{host}`, `{path}` and `{query}` stand for the request's; `{query}` brings its own `?`.
	To string `yaml:"to" required:"true" format:"redirect_target"`
	// Status of the answer.
	Status int `yaml:"status" default:"301" enum:"301|302|307|308"`
}

// Rewrite changes the path that is sent to the origin.
type Rewrite struct {
	// Taken from the front of the path, where it stands there.
	StripPrefix string `yaml:"strip_prefix" format:"url_path"`
	// Put before the path, after strip_prefix.
	AddPrefix string `yaml:"add_prefix" format:"url_path"`
}
