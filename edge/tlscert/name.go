package tlscert

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

const localhost = "localhost"

// nameOf finds the name that a handshake is to get a certificate for: its SNI in lower case, or, without one, the address
// that it reached. Loopback, and a socket that does not know the address (QUIC on a wildcard), count as localhost, whose
// certificate holds the loopback addresses. An SNI with an address in it, which RFC 6066 §3 forbids and some clients
// send, must be the very address that was reached: otherwise anyone could have certificates made for any address.
func nameOf(hello *tls.ClientHelloInfo) (string, error) {
	var local netip.Addr
	if hello.Conn != nil {
		if ap, err := netip.ParseAddrPort(hello.Conn.LocalAddr().String()); err == nil {
			local = ap.Addr().Unmap().WithZone("")
		}
	}
	sni := strings.ToLower(hello.ServerName)
	if sni == "" {
		if !local.IsValid() || local.IsLoopback() || local.IsUnspecified() {
			return localhost, nil
		}
		return local.String(), nil
	}
	if ip, err := netip.ParseAddr(sni); err == nil {
		switch ip = ip.Unmap(); {
		case ip.IsLoopback() && local.IsLoopback():
			return localhost, nil
		case ip == local:
			return ip.String(), nil
		}
		return "", fmt.Errorf("server name %q is an address, and not the one that was reached", sni)
	}
	if err := checkName(sni); err != nil {
		return "", fmt.Errorf("server name %.80q: %w", sni, err)
	}
	return sni, nil
}

// checkName takes host names as RFC 1123 §2.1 has them, with underscores. International names come as punycode (RFC 6066
// §3).
func checkName(name string) error {
	if len(name) > 253 {
		return errors.New("longer than 253 bytes")
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("not a host name")
		}
		for i := range len(label) {
			switch c := label[i]; {
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			default:
				return errors.New("not a host name")
			}
		}
	}
	return nil
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil
}
