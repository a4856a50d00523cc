package config

// Purge says who may purge, and how stale a cut-off node may become (DESIGN
// section 5).
type Purge struct {
	// Tokens for purging.
	Tokens []PurgeToken `yaml:"tokens"`
	// Time without word from the fleet's core after which a node counts as cut off.
	MaxLag Duration `yaml:"max_lag" default:"30s" min:"1s" max:"1h"`
	// What a cut-off node still serves without asking the origin: what was validated at most this long ago; `off`: everything that is fresh.
	IsolatedTTL DurationOrOff `yaml:"isolated_ttl" default:"60s" min:"0s" max:"1d"`
}

// PurgeToken is one holder of the right to purge.
type PurgeToken struct {
	// Name of the holder, as logs show it.
	Name string `yaml:"name" required:"true" format:"name"`
	// File that holds the token, alone on its first line.
	SecretFile string `yaml:"secret_file" required:"true" format:"path"`
	// Names of the sites that it may purge.
	Sites []string `yaml:"sites" unset:"all" format:"name"`
}

// Fleet says how the nodes find each other.
type Fleet struct {
	// Core nodes to join: tls://HOST:PORT.
	Join []string `yaml:"join" format:"tls_url"`
	// Servers of an existing NATS cluster, in place of the embedded one: nats://HOST:PORT or tls://HOST:PORT.
	NATS []string `yaml:"nats" format:"nats_url"`
}

// DNS says what this node answers as a nameserver.
type DNS struct {
	// The zones.
	Zones []Zone `yaml:"zones"`
	// File of the geo database (mmdb).
	Geo string `yaml:"geo" format:"path"`
}

// Zone is one zone that this node is authoritative for.
type Zone struct {
	// Name of the zone.
	Name string `yaml:"name" required:"true" format:"domain"`
	// Names of the zone's nameservers.
	NS []string `yaml:"ns" required:"true" format:"domain"`
	// Names in the zone, relative to it; `@` is the zone's own.
	Names map[string]ZoneName `yaml:"names" keys:"zone_label"`
}

// ZoneName is what one name in a zone leads to.
type ZoneName struct {
	// Name of the site that the edges serve under it.
	Site string `yaml:"site" required:"true" format:"name"`
}
