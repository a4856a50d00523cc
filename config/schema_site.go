package config

import "net/url"

// Site is one website: the hosts by which it is known, where it comes from and
// what is kept of it. Parse makes its hosts lower case, and IP addresses what
// netip prints, IPv6 in brackets.
type Site struct {
	// Name of the site, unique in the file: in logs, metrics and purges.
	Name string `yaml:"name" required:"true" format:"name"`
	// Hosts of the site: names, `*.example.com` for any name below example.com, or `*` for any host. A host belongs to one site.
	Hosts []string `yaml:"hosts" required:"true" format:"host_pattern"`
	// The pool that requests go to when no rule names another.
	Origin Origin `yaml:"origin" required:"true"`
	// Further pools by name, for the rules' `origin`.
	Origins map[string]Origin `yaml:"origins" keys:"name"`
	// Regions whose shields are asked before the origin, in order of preference.
	Shield []string `yaml:"shield" format:"name"`
	// Stale windows where neither the response nor a rule states one.
	Stale Stale `yaml:"stale"`
	// What differs for some requests. All rules that match apply in this order; a later one wins.
	Rules []Rule `yaml:"rules"`
	// Answer every http request with a redirect to https.
	RedirectHTTPS bool `yaml:"redirect_https" default:"false"`
	// Tell clients of HTTP/3 by Alt-Svc.
	AltSvc bool `yaml:"alt_svc" default:"true"`
	// What beside the host and the path tells responses apart.
	Key Key `yaml:"key"`
	// Own error pages: the file to send for a status (`404`), a class (`4xx`, `5xx`), or `default`.
	ErrorPages map[string]string `yaml:"error_pages" keys:"error_status" format:"path"`
	// Send Server-Timing to clients.
	ServerTiming bool `yaml:"server_timing" default:"false"`
	// Send the fields Surrogate-Key and Cache-Tag on to clients.
	ForwardTags bool `yaml:"forward_tags" default:"false"`
	// Store responses that carry Set-Cookie, cookies included: every client then gets the same cookie.
	StoreSetCookie bool `yaml:"store_set_cookie" default:"false"`
}

// Origin is a pool of members that serve the same content.
type Origin struct {
	// How a member is chosen.
	Balance string `yaml:"balance" default:"round_robin" enum:"round_robin|weighted|least_connections|two_choices|ip_hash|consistent_hash"`
	// The servers of the pool.
	Members []Member `yaml:"members" required:"true"`
	// Active checks of every member.
	Health *Health `yaml:"health"`
	// The Host sent to the origin: `client` (as the client sent it), `origin` (the member's own), or a name.
	Host string `yaml:"host" default:"client" format:"origin_host"`
	// Speak HTTP/2 to the origin: by ALPN over https, with prior knowledge over http.
	HTTP2 bool `yaml:"http2" default:"false"`
	// How long each step of a fetch may take.
	Timeouts Timeouts `yaml:"timeouts"`
	// How an https origin is verified, and how we show ourselves to it.
	TLS OriginTLS `yaml:"tls"`
	// Connections open at once to one member.
	MaxConnections int `yaml:"max_connections" default:"512" min:"1" max:"1048576"`
	// Further members that a request may be tried on when that is safe.
	Retries int `yaml:"retries" default:"1" min:"0" max:"10"`
}

// Member is one server of a pool. Its URL is not nil in a valid Config.
type Member struct {
	// URL of the server: http or https, a host, perhaps a port and a path that is put before the request's.
	URL *url.URL `yaml:"url" required:"true" format:"origin_url"`
	// Share of the requests, relative to the other members.
	Weight int `yaml:"weight" default:"1" min:"1" max:"1000"`
	// Used only when no other member can be.
	Backup bool `yaml:"backup" default:"false"`
}

// Health says how a pool's members are checked.
type Health struct {
	// Path that is asked for; 200 to 399 is healthy.
	Path string `yaml:"path" default:"/" format:"url_path"`
	// Time between two checks of a member.
	Every Duration `yaml:"every" default:"5s" min:"100ms" max:"1h"`
}

// Timeouts bounds the steps of one fetch from an origin.
type Timeouts struct {
	// Until the connection stands, DNS included.
	Connect Duration `yaml:"connect" default:"5s" min:"10ms" max:"10m"`
	// Until the TLS handshake is complete.
	TLS Duration `yaml:"tls" default:"5s" min:"10ms" max:"10m"`
	// From the request sent to the response's head.
	FirstByte Duration `yaml:"first_byte" default:"30s" min:"10ms" max:"1h"`
	// Between two reads of the response's body.
	BetweenBytes Duration `yaml:"between_bytes" default:"30s" min:"10ms" max:"1h"`
	// The whole fetch.
	Total Duration `yaml:"total" default:"0s" min:"10ms" max:"7d" zero:"no limit"`
}

// OriginTLS says how https to an origin is done.
type OriginTLS struct {
	// PEM file of the CAs that the origin's certificate must come from. Without it: the system's.
	CA string `yaml:"ca" format:"path"`
	// Name sent as SNI and verified.
	SNI string `yaml:"sni" unset:"the member's host" format:"host"`
	// Verify the origin's certificate.
	Verify bool `yaml:"verify" default:"true"`
	// PEM file of the certificate that we show to the origin.
	Cert string `yaml:"cert" format:"path"`
	// PEM file of its private key.
	Key string `yaml:"key" format:"path"`
}

// Stale holds a site's stale windows (RFC 5861), counted from the end of the
// freshness lifetime.
type Stale struct {
	// How long a stale response may be served while it is validated behind.
	WhileRevalidate Duration `yaml:"while_revalidate" default:"0s" min:"1s" max:"3650d" zero:"not at all"`
	// How long a stale response may be served when the origin fails.
	IfError Duration `yaml:"if_error" default:"0s" min:"1s" max:"3650d" zero:"not at all"`
}

// Key says what beside the host and the path tells a site's responses apart.
type Key struct {
	// Keep http and https apart.
	Scheme bool `yaml:"scheme" unset:"true, unless redirect_https"`
	// Which parameters of the query count. The others are not sent to the origin either.
	Query Query `yaml:"query"`
	// Request header fields that count.
	Headers []string `yaml:"headers" format:"field_name"`
	// Cookies that count.
	Cookies []string `yaml:"cookies" format:"token"`
}

// Query filters the query of a request, for the key and for the origin alike.
// Keep is nil when it is not written, and empty when the empty list is.
type Query struct {
	// Names kept, all others are dropped; `*` stands for any run of characters. An empty list keeps nothing.
	Keep []string `yaml:"keep" unset:"all" format:"query_name"`
	// Names dropped, of those kept.
	Drop []string `yaml:"drop" format:"query_name"`
	// Sort the parameters by name, so that their order does not count.
	Sort bool `yaml:"sort" default:"true"`
}
