package origin

import (
	"fmt"
	"net/http"
)

// Kind says how an exchange with an origin failed. The set is closed; each Kind is one error type of RFC 9209 §2.3, whose
// name String gives, so that Proxy-Status, the log and the metrics print the same word.
type Kind uint8

const (
	InternalError      Kind = iota // ours: out of files, ports; a request that cannot be forwarded at all
	ConfigurationError             // what the config asks cannot be done
	DNSTimeout                     // §2.3.1
	DNSError                       // §2.3.2
	Unavailable                    // §2.3.4: no member may be tried
	Unroutable                     // §2.3.6: no route to the member's address
	Refused                        // §2.3.7
	Terminated                     // §2.3.8: closed or reset before a whole response was there
	ConnectionTimeout              // §2.3.9
	ReadTimeout                    // §2.3.10
	WriteTimeout                   // §2.3.11: the member does not take the request
	ConnectionLimit                // §2.3.12: max_connections are in use
	TLSProtocol                    // §2.3.13
	TLSCertificate                 // §2.3.14
	TLSAlert                       // §2.3.15: the member refused the handshake
	RequestError                   // §2.3.16: the client's request broke off or cannot be forwarded
	ResponseIncomplete             // §2.3.18: the body ended before its framed end
	HeaderTooLarge                 // §2.3.19: the header section is over the limit
	TransferCoding                 // §2.3.24
	ResponseTimeout                // §2.3.26: no head in time, a stalled body, or over the whole time
	UpgradeFailed                  // §2.3.27
	ProtocolError                  // §2.3.28: what came is not HTTP, or not allowed by it
	kinds
)

// table holds, by Kind, the name of RFC 9209 and the status recommended there. Nothing writes to it.
var table = [kinds]struct {
	name   string
	status int
}{
	InternalError:      {"proxy_internal_error", http.StatusInternalServerError},
	ConfigurationError: {"proxy_configuration_error", http.StatusInternalServerError},
	DNSTimeout:         {"dns_timeout", http.StatusGatewayTimeout},
	DNSError:           {"dns_error", http.StatusBadGateway},
	Unavailable:        {"destination_unavailable", http.StatusServiceUnavailable},
	Unroutable:         {"destination_ip_unroutable", http.StatusBadGateway},
	Refused:            {"connection_refused", http.StatusBadGateway},
	Terminated:         {"connection_terminated", http.StatusBadGateway},
	ConnectionTimeout:  {"connection_timeout", http.StatusGatewayTimeout},
	ReadTimeout:        {"connection_read_timeout", http.StatusGatewayTimeout},
	WriteTimeout:       {"connection_write_timeout", http.StatusGatewayTimeout},
	ConnectionLimit:    {"connection_limit_reached", http.StatusServiceUnavailable},
	TLSProtocol:        {"tls_protocol_error", http.StatusBadGateway},
	TLSCertificate:     {"tls_certificate_error", http.StatusBadGateway},
	TLSAlert:           {"tls_alert_received", http.StatusBadGateway},
	RequestError:       {"http_request_error", http.StatusBadRequest},
	ResponseIncomplete: {"http_response_incomplete", http.StatusBadGateway},
	HeaderTooLarge:     {"http_response_header_section_size", http.StatusBadGateway},
	TransferCoding:     {"http_response_transfer_coding", http.StatusBadGateway},
	ResponseTimeout:    {"http_response_timeout", http.StatusGatewayTimeout},
	UpgradeFailed:      {"http_upgrade_failed", http.StatusBadGateway},
	ProtocolError:      {"http_protocol_error", http.StatusBadGateway},
}

// String gives the RFC 9209 error type, such as "connection_refused".
func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("BUG: origin.Kind(%d)", uint8(k))
	}
	return table[k].name
}

// Status gives the status that RFC 9209 recommends for the failure: 400, 500, 502, 503 or 504.
func (k Kind) Status() int {
	if k >= kinds {
		return http.StatusInternalServerError
	}
	return table[k].status
}

// Error is a failed exchange with one member of a pool. RoundTrip and the bodies of its responses give it, with errors.As
// for the Kind and errors.Is for the cause.
type Error struct {
	Kind   Kind
	Member string // the member's URL; empty when none was chosen
	Err    error
}

func (e *Error) Error() string {
	if e.Member == "" {
		return fmt.Sprintf("origin: %s: %v", e.Kind, e.Err)
	}
	return fmt.Sprintf("origin %s: %s: %v", e.Member, e.Kind, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
