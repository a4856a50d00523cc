package config

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// splitListen cuts HOST:PORT; the host is lower-cased and free of brackets.
func splitListen(s string) (host string, port int, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", 0, errors.New("has no port")
	}
	host = strings.ToLower(s[:i])
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
		if !strings.Contains(host, ":") {
			return "", 0, errors.New("is not an address")
		}
	} else if strings.Contains(host, ":") {
		return "", 0, errors.New("needs [ ] around its IPv6 address")
	}
	port, err = strconv.Atoi(s[i+1:])
	if err != nil || port < 0 || port > 65535 || !only(s[i+1:], "") {
		return "", 0, errors.New("has no port from 0 to 65535")
	}
	return host, port, nil
}

func checkListen(s string) error {
	host, _, err := splitListen(s)
	if err != nil {
		return err
	}
	if host == "" || host == "localhost" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return errors.New("has a host that is not an IP address")
	}
	return nil
}

// checkDomain holds s against the rules for host names (RFC 1123 section 2.1),
// with _ allowed, as real names have it.
func checkDomain(s string) error {
	for _, r := range s {
		if r >= 0x80 {
			return errors.New("is not ASCII: write its xn-- form")
		}
	}
	if s == "" || len(s) > 253 {
		return errors.New("is not a host name")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || !only(label, "-_") || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("is not a host name")
		}
	}
	return nil
}

func checkHost(s string) error {
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil && addr.Zone() == "" {
		return nil
	}
	if strings.Contains(s, "://") || strings.Contains(s, "/") {
		return errors.New("is a URL, not a host")
	}
	if host, port, ok := strings.Cut(s, ":"); ok && checkDomain(host) == nil && only(port, "") {
		return errors.New("has a port")
	}
	if err := checkDomain(s); err != nil {
		return err
	}
	if endsInNumber(s) {
		return errors.New("is neither an IP address nor a host name")
	}
	return nil
}

// endsInNumber tells whether a name looks like an IPv4 address without being
// one, as 300.1.2.3 and 0x7f.1 do: no name ends in a number (RFC 3696 section 2),
// and some resolvers read these as addresses.
func endsInNumber(name string) bool {
	last := strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// normalHost is the one way to write a host or a pattern of hosts: lower case,
// and IPv6 addresses in brackets, as a request has them.
func normalHost(s string) string {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	switch {
	case err != nil:
		return strings.ToLower(s)
	case addr.Is6():
		return "[" + addr.String() + "]"
	}
	return addr.String()
}

func checkHostPattern(s string) error {
	if s == "*" {
		return nil
	}
	rest, wild := strings.CutPrefix(s, "*.")
	if strings.Contains(rest, "*") {
		return errors.New("has a * that is not its whole first label")
	}
	if wild {
		if checkDomain(rest) != nil || endsInNumber(rest) {
			return errors.New("has no host name after its wildcard")
		}
		return nil
	}
	return checkHost(s)
}

func checkMatchHost(s string) error {
	if strings.Contains(normalHost(s), "[") {
		return errors.New("is an IPv6 address, which a rule cannot match")
	}
	return checkHostPattern(s)
}
