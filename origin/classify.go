package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// dialKind sorts a failure of name look-up or TCP connect.
func dialKind(err error) Kind {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return DNSTimeout
		}
		return DNSError
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unroutable
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return InternalError
	case isTimeout(err):
		return ConnectionTimeout
	}
	return Terminated
}

// tlsKind sorts a failure of the handshake.
func tlsKind(err error) Kind {
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.As(err, &verify):
		return TLSCertificate
	case errors.As(err, &alert):
		return TLSAlert
	case isRemoteAlert(err):
		return TLSAlert
	case isTimeout(err):
		return ConnectionTimeout
	case isBroken(err):
		return Terminated
	}
	return TLSProtocol
}

// isRemoteAlert recognises what crypto/tls gives for an alert over TCP: a net.OpError of its unexported alert type.
func isRemoteAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// headKind sorts a failure between sending a request and the end of its response's head. net/http has no types for most of
// these: where only a text tells, the text is that of Go 1.26, and a change of it costs precision (ProtocolError), nothing
// else. The tests hold every one of them.
func headKind(err error) Kind {
	var dial *dialError
	switch text := err.Error(); {
	case errors.As(err, &dial):
		return dial.kind
	case strings.Contains(text, "net/http: invalid "), strings.Contains(text, "http2: invalid "), strings.Contains(text, "with Body length"):
		return RequestError // a field, method or length that cannot be sent
	case strings.Contains(text, "read limit of ") && strings.Contains(text, " exhausted"),
		strings.Contains(text, "response headers exceeded"),
		strings.Contains(text, "header list larger than"):
		return HeaderTooLarge
	case strings.Contains(text, "unsupported transfer encoding"), strings.Contains(text, "too many transfer encodings"):
		return TransferCoding
	case isRemoteAlert(err): // TLS 1.3: a refused client certificate is known only at the first read
		return TLSAlert
	case isBroken(err), strings.Contains(text, "server closed idle connection"),
		strings.Contains(text, "client connection lost"), strings.Contains(text, "server sent GOAWAY"):
		return Terminated
	}
	return ProtocolError
}

// bodyKind sorts a failure in a response's body.
func bodyKind(err error) Kind {
	switch text := err.Error(); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ResponseIncomplete
	case isBroken(err), strings.Contains(text, "client connection lost"), strings.Contains(text, "server sent GOAWAY"),
		strings.Contains(text, "stream error"):
		return Terminated
	case strings.Contains(text, "chunk"):
		return TransferCoding
	}
	return ProtocolError
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// isBroken holds when the connection ended: closed, reset, or half of a message came.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ETIMEDOUT)
}
