package config

import (
	"net/url"
	"reflect"
)

// Default is a configuration with every default filled in and no sites: what an
// empty file would give. The caller owns it.
func Default() *Config {
	c := new(Config)
	setDefaults(reflect.ValueOf(c).Elem())
	return c
}

// DefaultSite is a site with every default filled in, with that name and those
// hosts, whose origin has the given members. The caller owns it. Nothing is
// checked here: that is Validate's part.
func DefaultSite(name string, hosts []string, members ...Member) Site {
	var s Site
	setDefaults(reflect.ValueOf(&s).Elem())
	s.Name, s.Hosts = name, hosts
	s.Key.Scheme = true // as redirect_https is not set
	s.Origin.Members = members
	return s
}

// DefaultMember is the member at u with every default filled in.
func DefaultMember(u *url.URL) Member {
	var m Member
	setDefaults(reflect.ValueOf(&m).Elem())
	m.URL = u
	return m
}
