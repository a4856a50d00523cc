package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"levee/edge/accesslog"
	"levee/edge/cache"
	"levee/edge/cachekey"
	"levee/edge/collapse"
	"levee/edge/policy"
	"levee/edge/wire"
	"levee/purge/journal"
)

// Handler serves the requests of all sites. Its fields are set before the first
// request and not changed; the sites are swapped by [Handler.Swap].
type Handler struct {
	Node    string // the node's name, as in Via and Cache-Status
	Store   *cache.Store
	Journal *journal.Journal
	Flights *collapse.Table
	Log     *accesslog.Log // nil = no access log
	Logger  *slog.Logger
	Metrics *Metrics

	state     atomic.Pointer[State]
	cacheName string
	vias      [4]string // our member of Via, by the major version of the request's protocol
	viaLine   []string
	loopID    string
	altSvc    atomic.Pointer[[]string] // the Alt-Svc line; nil without HTTP/3
	draining  atomic.Bool              // connections are being closed after their answers
	https     atomic.Pointer[string]   // ":port" of https as clients see it, "" for 443
}

// Swap makes s the state for requests that arrive from now on and returns the
// old one, nil at first.
func (h *Handler) Swap(s *State) *State {
	if h.cacheName == "" {
		h.cacheName = "levee-" + h.Node
		h.vias = [...]string{"1.1 " + h.cacheName, "1.1 " + h.cacheName, "2.0 " + h.cacheName, "3.0 " + h.cacheName}
		h.viaLine = h.vias[1:2:2] // what came from the origin came by HTTP/1.1
		h.loopID = h.cacheName
	}
	return h.state.Swap(s)
}

// Announce tells the handler where https is served, for redirects, and, with
// h3, for Alt-Svc (RFC 7838). port is as in ":8443".
func (h *Handler) Announce(port string, h3 bool) {
	shown := port
	if port == ":443" {
		shown = ""
	}
	h.https.Store(&shown)
	if h3 {
		h.altSvc.Store(&[]string{`h3="` + port + `"; ma=86400`})
	}
}

// Withdraw tells clients to forget HTTP/3 here: the node is about to stop.
func (h *Handler) Withdraw() {
	h.draining.Store(true)
	if h.altSvc.Load() != nil {
		h.altSvc.Store(&[]string{"clear"})
	}
}

func (h *Handler) httpsPort() string {
	if p := h.https.Load(); p != nil {
		return *p
	}
	return ""
}

// State is the state in force.
func (h *Handler) State() *State { return h.state.Load() }

// ServeHTTP is the life of a request, as in the package's diagram.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.begin(w, r)
	defer x.end()
	switch {
	case !x.admit():
	case x.redirected():
	case x.upgrading():
		x.tunnel()
	case x.passes():
		x.pass()
	default:
		x.makeKey()
		x.serve()
	}
}

// admit checks what can be checked without the cache, finds the site and lets
// the rules speak. It answers the request itself when it reports false.
func (x *Exchange) admit() bool {
	r, lim := x.r, &x.state.limits
	if r.Host == wire.SubstituteHost && x.conn != nil && x.conn.gate != nil {
		if bad := x.conn.gate.Refused(); bad != nil {
			x.malformed = true
			return x.refuse(bad.Status, bad.Why)
		}
	}
	switch {
	case r.Method == http.MethodConnect, r.Method == http.MethodTrace:
		x.w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
		return x.refuse(http.StatusMethodNotAllowed, "the method "+r.Method+" is not forwarded")
	case len(r.RequestURI) > int(lim.URLBytes):
		return x.refuse(http.StatusRequestURITooLong, fmt.Sprintf("the request target has %d bytes, the limit is %d", len(r.RequestURI), lim.URLBytes))
	}
	if n, size := headerSize(r); n > lim.HeaderCount {
		return x.refuse(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request has %d header fields, the limit is %d", n, lim.HeaderCount))
	} else if size > int(lim.HeaderBytes) {
		return x.refuse(http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("the request's head has %d bytes, the limit is %d", size, lim.HeaderBytes))
	}

	var ok bool
	if x.host, ok = cachekey.Host(r.Host); !ok {
		x.host = ""
		return x.refuse(http.StatusBadRequest, "the Host is not a host name or address")
	}
	path, query := target(r)
	if x.path, ok = cachekey.Path(path); !ok {
		return x.refuse(http.StatusBadRequest, "the path has bytes that must be escaped, or escapes that hide its meaning")
	}
	if !cachekey.ValidQuery(query) {
		return x.refuse(http.StatusBadRequest, "the query has bytes that must be escaped")
	}
	if x.site = x.state.Find(x.host); x.site == nil || !x.sameSiteAsSNI() {
		x.site = nil
		// 421 lets a client that coalesced connections try on one of its own
		// (RFC 9110 §15.5.20); in the clear there is nothing to try.
		if x.scheme == "https" {
			return x.refuse(http.StatusMisdirectedRequest, "this connection does not serve that host")
		}
		return x.refuse(http.StatusNotFound, "no site has that host")
	}
	if max := int64(lim.BodyBytes); max > 0 && r.ContentLength > max {
		return x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request's body has %d bytes, the limit is %d", r.ContentLength, max))
	}
	if looped(r.Header, x.h.loopID) {
		return x.refuse(http.StatusLoopDetected, "the request has been here before (CDN-Loop, RFC 8586): an origin of the site leads back to this edge")
	}

	x.facts.Method, x.facts.Host, x.facts.Path, x.facts.Query, x.facts.Header = r.Method, x.host, x.path, query, r.Header
	x.actions = x.site.defaults
	x.site.rules.Eval(&x.facts, &x.actions)
	x.query = query
	if x.actions.Query != nil {
		x.query = x.actions.Query.Apply(query)
	}
	return true
}

// target is the path and the query of the request target as they were sent. An
// absolute-form target's authority is in r.Host already (RFC 9112 §3.2.2).
func target(r *http.Request) (path, query string) {
	t := r.RequestURI
	if t == "" || t[0] != '/' {
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	path, query, _ = strings.Cut(t, "?")
	return path, query
}

// headerSize counts the fields of a request and the bytes of its head, as
// HTTP/1.1 would write it.
func headerSize(r *http.Request) (fields, bytes int) {
	bytes = len(r.Method) + len(r.RequestURI) + len(" HTTP/1.1\r\n ") + len("Host: \r\n") + len(r.Host)
	fields = 1 // Host, which net/http keeps apart
	for name, values := range r.Header {
		for _, v := range values {
			bytes += len(name) + len(v) + len(": \r\n")
		}
		fields += len(values)
	}
	return fields, bytes
}

// sameSiteAsSNI reports whether the site of the TLS handshake's name is the
// request's: a host must not be reachable through the certificate of another
// site. A handshake without SNI says nothing.
func (x *Exchange) sameSiteAsSNI() bool {
	sni := x.sni()
	if sni == "" || sni == x.host {
		return true
	}
	host, ok := cachekey.Host(sni)
	return ok && x.state.Find(host) == x.site
}

// redirected answers with a rule's redirect, or with the site's from http to
// https.
func (x *Exchange) redirected() bool {
	var to string
	status := http.StatusPermanentRedirect // 308 keeps the method (RFC 9110 §15.4.9)
	switch {
	case x.actions.Redirect != nil:
		to, status = x.actions.Redirect.Location(&x.facts), x.actions.Redirect.Status
	case x.site.redirectHTTPS && x.scheme == "http":
		to = "https://" + x.host + x.h.httpsPort() + x.path
		to += orEmpty("?", x.facts.Query)
		if x.isRead() {
			status = http.StatusMovedPermanently
		}
	default:
		return false
	}
	x.outcome = Redirected
	x.w.Header().Set("Location", to)
	x.plain(status, "")
	return true
}

// passes reports whether the request goes past the cache, and why.
func (x *Exchange) passes() bool {
	switch {
	case !x.isRead():
		x.reason, x.fwd = policy.ReasonMethod, policy.FwdMethod
	case x.actions.Bypass:
		x.reason, x.fwd = policy.ReasonBypass, policy.FwdBypass
	case x.hasBody():
		x.reason, x.fwd = policy.ReasonRequestBody, policy.FwdRequest
	default:
		return false
	}
	return true
}

// serve answers from the cache, or from a flight.
func (x *Exchange) serve() {
	for {
		now := time.Now()
		found := x.h.Store.Lookup(&x.key, x.r.Header, x.mark, now)
		stale := found.Stored
		if stale != nil {
			switch use := usable(stale, found.Verdict, now); use {
			case fresh:
				x.outcome = Hit
				if !x.sendPrepared(stale, nil, now) {
					x.send(stale, nil, now)
				}
				return
			case policy.WhileRevalidate:
				x.revalidateBehind(stale, &found)
				x.outcome, x.staleUse = Stale, use
				x.send(stale, nil, now)
				return
			}
		}
		x.forwardReason(&found)
		switch {
		case onlyIfCached(x.r.Header):
			x.outcome = Failed
			x.fail(http.StatusGatewayTimeout, "", "only-if-cached was asked for, and nothing fresh is stored")
			return
		case x.r.Method == http.MethodHead && stale == nil:
			x.reason = policy.ReasonMethod
			x.pass()
			return
		case found.Marker == policy.ReasonTooLarge && x.r.Header.Get("Range") != "":
			// The origin cuts a range out of what is too large for us to keep.
			x.reason = found.Marker
			x.pass()
			return
		case found.Marker != policy.ReasonNone:
			x.reason = found.Marker
			x.alone(stale, found.Verdict)
			return
		}
		if x.fly(stale, &found) {
			return
		}
	}
}

// fresh stands beside the ways to use a stale response.
const fresh policy.StaleUse = 255

// usable says how a stored response may be used at now.
func usable(st *cache.Stored, v journal.Verdict, now time.Time) policy.StaleUse {
	if v.Kind == journal.Usable && st.Life.Fresh(now) {
		return fresh
	}
	life := st.Life
	if v.Kind == journal.Soft { // stale since then, whatever its lifetime
		life.FreshFor = min(life.FreshFor, life.Age(v.At))
	}
	return life.Stale(now)
}

// forwardReason says by RFC 9211 why the request goes forward.
func (x *Exchange) forwardReason(f *cache.Found) {
	switch {
	case f.Stored != nil:
		x.fwd = policy.FwdStale
	case f.VaryMiss:
		x.fwd = policy.FwdVaryMiss
	case f.Purged:
		x.fwd = policy.FwdMiss
	default:
		x.fwd = policy.FwdURIMiss
	}
}

// fault logs a panic that is not meant.
func (h *Handler) fault(x *Exchange, what any) {
	h.Metrics.faults.Inc()
	err, ok := what.(error)
	if !ok {
		err = fmt.Errorf("%v", what)
	}
	x.outcome, x.err = Failed, err
	h.Logger.Error("a request met a fault of this program; please report it", "id", x.requestID(),
		"method", x.r.Method, "host", x.r.Host, "target", x.r.RequestURI, "fault", err, "stack", string(debug.Stack()))
}

// clientGone reports whether an error is the client's going away.
func clientGone(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, ctx.Err()))
}

// looped reports whether a CDN-Loop field names id (RFC 8586 §2).
func looped(h http.Header, id string) bool {
	for _, line := range h["Cdn-Loop"] {
		for member := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(member, ";")
			if strings.EqualFold(strings.TrimSpace(name), id) {
				return true
			}
		}
	}
	return false
}
