package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"syscall"

	"levee/config"
)

func tlsVersion(v string) uint16 {
	if v == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// adminTLS gives the admin listener a certificate where it is off loopback: the
// configured one, else one of the node's own.
func (n *Node) adminTLS() error {
	c := n.Config
	switch {
	case c.Admin.Cert != "":
		pair, err := tls.LoadX509KeyPair(c.Admin.Cert, c.Admin.Key)
		if err != nil {
			return fmt.Errorf("admin.cert: %w", err)
		}
		n.Admin.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	case n.Certs != nil:
		n.Admin.TLS = n.Certs.TLSConfig("h2", "http/1.1")
	case offLoopback(c.Listen.Admin):
		return errors.New("admin: an address off loopback needs admin.cert and admin.key when listen.https is off")
	}
	return nil
}

func offLoopback(addrs []string) bool {
	for _, addr := range addrs {
		if ap, err := netip.ParseAddrPort(addr); err != nil || !ap.Addr().IsLoopback() {
			return true
		}
	}
	return false
}

func isInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// needRestart lists the keys that differ but are read only at the start.
func needRestart(old, now *config.Config) (keys []string) {
	for key, differs := range map[string]bool{
		"node":   !reflect.DeepEqual(old.Node, now.Node),
		"listen": !reflect.DeepEqual(old.Listen, now.Listen),
		"cache.ram, cache.disk, cache.variants": old.Cache.RAM != now.Cache.RAM || old.Cache.Disk != now.Cache.Disk ||
			old.Cache.Variants != now.Cache.Variants,
		"collapse.finish_fraction": old.Collapse.FinishFraction != now.Collapse.FinishFraction,
		"access_log":               old.AccessLog != now.AccessLog,
		"log":                      old.Log != now.Log,
		"tls":                      !reflect.DeepEqual(old.TLS, now.TLS),
		"admin":                    !reflect.DeepEqual(old.Admin, now.Admin),
		"limits of connections and heads": old.Limits.HeaderBytes != now.Limits.HeaderBytes || old.Limits.HeaderCount != now.Limits.HeaderCount ||
			old.Limits.URLBytes != now.Limits.URLBytes || old.Limits.BodyGrace != now.Limits.BodyGrace || old.Limits.Connections != now.Limits.Connections || old.Limits.ConnectionsPerClient != now.Limits.ConnectionsPerClient ||
			old.Limits.Streams != now.Limits.Streams || old.Limits.HeaderTimeout != now.Limits.HeaderTimeout ||
			old.Limits.IdleTimeout != now.Limits.IdleTimeout || old.Limits.TLSTimeout != now.Limits.TLSTimeout,
	} {
		if differs {
			keys = append(keys, key)
		}
	}
	return keys
}
