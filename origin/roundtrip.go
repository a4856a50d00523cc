package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"levee/origin/balance"
)

// RoundTrip sends r to a member and returns its response once the head is there. The body is read from the member as the
// caller reads it; the caller must read it to its end or close it.
//
// Of r it takes method, Header, Trailer, Body, ContentLength, the Host, and of the URL the path, which goes behind the
// member's, and the query. It changes nothing of r and always closes r.Body, if maybe only after it has returned. r.GetBody
// is not used.
//
// A httptrace.ClientTrace in r's context is served; its Got1xxResponse is called for 103 only (RFC 8297), and an error that
// it gives ends the exchange.
//
// Errors are of type *Error, but one: when r's context has ended, the error wraps that context's cause and is no *Error. An
// error of the response's body follows the same rule. Redirects are responses like others.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	if err := p.refuse(r); err != nil {
		closeBody(r)
		return nil, err
	}
	var tried balance.Set
	for tries := 0; ; tries++ {
		i, ok := p.picker.Next(&tried)
		if !ok {
			panic("BUG: origin: a pool without members")
		}
		tried.Add(i)
		x := newExchange(p, r, &p.members[i], start)
		resp, err := x.do()
		if err == nil {
			return resp, nil
		}
		if tries < p.retries && tries+1 < len(p.members) && x.mayRepeat(err) {
			continue
		}
		x.upload.close()
		return nil, err
	}
}

// refuse finds what cannot be forwarded to any member.
func (p *Pool) refuse(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect:
		return &Error{Kind: RequestError, Err: errors.New("CONNECT is not forwarded")}
	case r.URL == nil:
		return &Error{Kind: InternalError, Err: errors.New("BUG: request without URL")}
	}
	return nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// request makes what is sent to m from r.
func (p *Pool) request(ctx context.Context, r *http.Request, m *member) *http.Request {
	out := r.WithContext(ctx) // a shallow copy
	u := &url.URL{Scheme: m.url.Scheme, Host: m.url.Host, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	switch {
	case m.raw == "" || r.URL.Path == "*": // OPTIONS * is about the server, not a path of it (RFC 9110 §9.3.7)
		u.Path, u.RawPath = r.URL.Path, r.URL.RawPath
	default:
		slash := ""
		if !strings.HasPrefix(r.URL.Path, "/") {
			slash = "/"
		}
		u.Path = m.url.Path + slash + r.URL.Path
		if r.URL.RawPath != "" || m.raw != m.url.Path {
			u.RawPath = m.raw + slash + r.URL.EscapedPath()
		}
	}
	out.URL = u
	switch {
	case p.hostOf:
		out.Host = m.url.Host
	case p.host != "":
		out.Host = p.host
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		// net/http would put its own in: not what the client sent. An empty one is left out of the request.
		out.Header = r.Header.Clone()
		if out.Header == nil {
			out.Header = http.Header{}
		}
		out.Header["User-Agent"] = []string{""}
	}
	out.GetBody = nil
	return out
}

// do makes one try. The error is as RoundTrip's.
func (x *exchange) do() (*http.Response, error) {
	r := x.r
	out := x.pool.request(x.context(), r, x.member)
	if r.Body != nil && r.Body != http.NoBody {
		x.upload.x = x
		out.Body = &x.upload
	}
	x.begin()
	resp, err := x.pool.lane(r, x.member).RoundTrip(out)
	if err == nil {
		if err = x.check(resp); err == nil {
			return resp, x.head(resp)
		}
		resp.Body.Close()
	}
	x.end()
	x.cancel(nil)
	return nil, x.failure(err, headKind)
}

// check refuses a response that HTTP does not allow as the answer to r.
func (x *exchange) check(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusSwitchingProtocols:
		// A 101 that was not asked for would make a tunnel of a connection that the client thinks is HTTP (RFC 9110 §7.8).
		if len(x.r.Header["Upgrade"]) == 0 {
			return &Error{ProtocolError, x.member.name, errors.New("101 Switching Protocols to a request without Upgrade")}
		}
		if !offered(x.r.Header["Upgrade"], resp.Header["Upgrade"]) {
			return &Error{UpgradeFailed, x.member.name, fmt.Errorf("101 to %q, which was not asked for", resp.Header["Upgrade"])}
		}
		if _, ok := resp.Body.(io.ReadWriteCloser); !ok {
			return &Error{UpgradeFailed, x.member.name, errors.New("101 without Connection: upgrade")}
		}
	case code < 200 || code > 599: // RFC 9110 §15
		return &Error{ProtocolError, x.member.name, fmt.Errorf("status %03d is none of HTTP", code)}
	}
	return nil
}

// offered reports whether every protocol of answer stands in ask; names are compared without case (RFC 9110 §7.8).
func offered(ask, answer []string) bool {
	any := false
	for _, line := range answer {
		for a := range strings.SplitSeq(line, ",") {
			found := false
			for _, line := range ask {
				for o := range strings.SplitSeq(line, ",") {
					found = found || strings.EqualFold(strings.TrimSpace(o), strings.TrimSpace(a))
				}
			}
			if !found {
				return false
			}
			any = true
		}
	}
	return any
}

// failure makes the error of a try from what net/http gave.
func (x *exchange) failure(err error, kind func(error) Kind) error {
	var ours *Error
	switch {
	case x.r.Context().Err() != nil:
		return fmt.Errorf("origin %s: the request was given up: %w", x.member.name, context.Cause(x.r.Context()))
	case x.fault.Load() != nil:
		return x.fault.Load()
	case errors.As(err, &ours):
		return ours
	case x.upload.failed() != nil:
		return &Error{RequestError, x.member.name, fmt.Errorf("reading the request's body: %w", x.upload.failed())}
	}
	return &Error{kind(err), x.member.name, err}
}

// mayRepeat reports whether the failed try may be followed by one at another member: nothing was sent, or what was sent is
// safe to send twice (RFC 9110 §9.2.2) and no byte came back.
func (x *exchange) mayRepeat(err error) bool {
	if x.r.Context().Err() != nil || x.over.Load() {
		return false
	}
	if !x.connected.Load() {
		// Beside dials that failed these are requests that net/http refuses to send to anyone.
		var dial *dialError
		return !x.upload.touched() && (errors.As(err, &dial) || x.fault.Load() != nil)
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, "":
	default:
		return false
	}
	return (x.r.Body == nil || x.r.Body == http.NoBody) && !x.answered.Load()
}
