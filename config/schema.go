package config

import "net/netip"

// Config is one node's whole configuration. Parse and Default return one with
// every default filled in; it is plain data, owned by the caller and not changed
// by this package afterwards.
type Config struct {
	// Who and where this node is.
	Node Node `yaml:"node"`
	// The addresses on which this node accepts connections.
	Listen Listen `yaml:"listen"`
	// What one client may use: bounds on sizes, counts, rates and times.
	Limits Limits `yaml:"limits"`
	// How much is kept, and where.
	Cache Cache `yaml:"cache"`
	// How concurrent requests for one response share one fetch.
	Collapse Collapse `yaml:"collapse"`
	// One JSON line for each request.
	AccessLog AccessLog `yaml:"access_log"`
	// The node's own messages, on stderr.
	Log Log `yaml:"log"`
	// The websites that are served. An edge needs at least one.
	Sites []Site `yaml:"sites"`
	// Where certificates come from.
	TLS TLS `yaml:"tls"`
	// Who may use the admin API.
	Admin Admin `yaml:"admin"`
	// Who may purge, and how stale a cut-off node may become.
	Purge Purge `yaml:"purge"`
	// How the nodes find each other.
	Fleet Fleet `yaml:"fleet"`
	// The zones that this node answers for.
	DNS DNS `yaml:"dns"`
}

// Node says who and where this node is.
type Node struct {
	// Name of the node, unique in the fleet. It appears in Cache-Status and Via.
	Name string `yaml:"name" unset:"the host's name" format:"node_name"`
	// Region of the node. Shields are chosen by region.
	Region string `yaml:"region" format:"name"`
	// Place of the node, as [latitude, longitude] in degrees: -90 to 90, -180 to 180.
	Location *Location `yaml:"location"`
	// What this node does.
	Roles []string `yaml:"roles" default:"edge" enum:"edge|shield|dns|core"`
	// Public IP addresses of the node, as GeoDNS hands them out.
	Addresses []netip.Addr `yaml:"addresses"`
	// Folder of what must outlive a restart: the internal CA, certificates, the purge journal, the disk tier.
	Data string `yaml:"data" unset:"levee in the XDG data folder" format:"path"`
}

// Location is a place on Earth.
type Location struct {
	Lat float64 // degrees north, -90 to 90
	Lon float64 // degrees east, -180 to 180
}

// Listen holds the addresses on which a node accepts connections, each
// HOST:PORT with an IP literal, localhost or nothing as the host. An empty list
// means that the node does not listen.
type Listen struct {
	// HTTP/1.1 in the clear.
	HTTP []string `yaml:"http" default:":80" off:"true" format:"listen"`
	// HTTP/1.1 and HTTP/2 over TLS on TCP, HTTP/3 on UDP.
	HTTPS []string `yaml:"https" default:":443" off:"true" format:"listen"`
	// The admin API, metrics and health. Off loopback it is TLS only and needs a token in `admin.tokens`.
	Admin []string `yaml:"admin" default:"127.0.0.1:9180" off:"true" format:"listen"`
	// DNS on UDP and TCP.
	DNS []string `yaml:"dns" default:"off" off:"true" format:"listen"`
	// The port between nodes.
	Fleet []string `yaml:"fleet" default:"off" off:"true" format:"listen"`
}

// Limits bounds what one client may use. Every limit has a default that a
// website does not meet.
type Limits struct {
	// Bytes of a request's head: its request line and all its header fields. Beyond it: 431.
	HeaderBytes Size `yaml:"header_bytes" default:"64KiB" min:"1KiB" max:"1MiB"`
	// Header fields of a request. Beyond it: 431.
	HeaderCount int `yaml:"header_count" default:"128" min:"16" max:"10000"`
	// Bytes of a request's target. Beyond it: 414.
	URLBytes Size `yaml:"url_bytes" default:"16KiB" min:"256" max:"1MiB"`
	// Time in which a request's head must be complete, from its first byte.
	HeaderTimeout Duration `yaml:"header_timeout" default:"10s" min:"100ms" max:"10m"`
	// Time for which a connection may stay open without a request.
	IdleTimeout Duration `yaml:"idle_timeout" default:"75s" min:"1s" max:"1h"`
	// Time in which a TLS handshake must be complete.
	TLSTimeout Duration `yaml:"tls_timeout" default:"10s" min:"100ms" max:"10m"`
	// Bytes of a request's body. Beyond it: 413.
	BodyBytes Size `yaml:"body_bytes" default:"1GiB" min:"1" max:"16TiB" zero:"no limit"`
	// Bytes a second that the body of a request or of a response must make on average once body_grace is over; a client slower than this is cut off.
	BodyRate Size `yaml:"body_rate" default:"1KiB" min:"1" max:"1GiB" zero:"no lower bound"`
	// Time for which a body may be slower than body_rate.
	BodyGrace Duration `yaml:"body_grace" default:"20s" min:"1s" max:"1h"`
	// Connections that are open at once, of all clients. Beyond it new ones wait in the kernel's queue.
	Connections int `yaml:"connections" default:"65536" min:"16" max:"16777216"`
	// Connections that one client holds open at once. A client is an IPv4 address or an IPv6 /64.
	ConnectionsPerClient int `yaml:"connections_per_client" default:"256" min:"1" max:"16777216" zero:"no limit"`
	// Concurrent streams of one HTTP/2 or HTTP/3 connection.
	Streams int `yaml:"streams" default:"128" min:"1" max:"10000"`
	// Time that requests in flight have to end at shutdown.
	Drain Duration `yaml:"drain" default:"30s" min:"1s" max:"1h" zero:"do not wait"`
}

// Cache says how much is kept, and where.
type Cache struct {
	// Bytes of memory for stored responses, flights and bodies that slow readers hold, overhead included: a hard bound.
	RAM Size `yaml:"ram" unset:"25 % of the memory" min:"16MiB" max:"64TiB"`
	// Bytes on disk for stored responses.
	Disk Size `yaml:"disk" default:"0" min:"64MiB" max:"1PiB" zero:"none"`
	// The largest response body that is kept in memory; more than a quarter of cache.ram counts as that.
	MaxResponse Size `yaml:"max_response" unset:"1/24 of cache.ram" min:"1KiB" max:"1TiB"`
	// Stored responses of one key that differ by their Vary fields. Beyond it the one unused longest goes.
	Variants int `yaml:"variants" default:"32" min:"1" max:"1024"`
}

// Collapse says how concurrent requests for one response share one fetch.
type Collapse struct {
	// Time for which requests do not wait for each other after a response turned out not to be shareable.
	MissMarker Duration `yaml:"miss_marker" default:"60s" min:"1s" max:"1h" zero:"always wait"`
	// Part of a body, 0 to 1, that must have arrived for its fetch to be finished after every reader has left.
	FinishFraction float64 `yaml:"finish_fraction" default:"0.5" min:"0" max:"1"`
}

// AccessLog says where the access log goes.
type AccessLog struct {
	// Where the lines go: stdout, stderr, off, or a file that is appended to.
	Path string `yaml:"path" default:"stdout" format:"path"`
	// Lines that wait to be written. When it is full, lines are dropped and counted; a request never waits.
	Buffer int `yaml:"buffer" default:"8192" min:"1" max:"1048576"`
}

// Log says how the node tells about itself.
type Log struct {
	// The least severe messages that are written.
	Level string `yaml:"level" default:"info" enum:"debug|info|warn|error"`
	// The form of a message.
	Format string `yaml:"format" default:"text" enum:"text|json"`
}

// TLS says where certificates come from.
type TLS struct {
	// Who issues certificates: a public CA by ACME, this node's own CA, or nobody (they are read from `tls.files`).
	Issuer string `yaml:"issuer" default:"internal" enum:"acme|internal|files"`
	// Mail address that is given to the ACME CA.
	Email string `yaml:"email" format:"email"`
	// Certificates with their keys, for `issuer: files`.
	Files []KeyPair `yaml:"files"`
	// The lowest TLS version that is spoken.
	MinVersion string `yaml:"min_version" default:"1.2" enum:"1.2|1.3"`
}

// KeyPair names a certificate's files.
type KeyPair struct {
	// PEM file of the certificate, followed by its chain.
	Cert string `yaml:"cert" required:"true" format:"path"`
	// PEM file of the private key.
	Key string `yaml:"key" required:"true" format:"path"`
}

// Admin says who may use the admin API.
type Admin struct {
	// Bearer tokens. At least one is needed when `listen.admin` is not on loopback.
	Tokens []AdminToken `yaml:"tokens"`
	// PEM file of the admin listener's certificate. Without it the node's internal CA issues one.
	Cert string `yaml:"cert" format:"path"`
	// PEM file of its private key.
	Key string `yaml:"key" format:"path"`
}

// AdminToken is one holder of the admin API's rights.
type AdminToken struct {
	// Name of the holder, as logs show it.
	Name string `yaml:"name" required:"true" format:"name"`
	// File that holds the token, alone on its first line.
	SecretFile string `yaml:"secret_file" required:"true" format:"path"`
}
