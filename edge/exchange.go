package edge

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"levee/edge/accesslog"
	"levee/edge/cache"
	"levee/edge/policy"
	"levee/edge/rule"
	"levee/purge/journal"
)

// Exchange is one request on its way through the edge, and its answer. It
// belongs to the goroutine that serves the request and is used again for
// another one: nothing that outlives the request may point to it.
type Exchange struct {
	h     *Handler
	state *State
	w     http.ResponseWriter
	r     *http.Request
	conn  *Conn // nil when a test calls the Handler without a Server

	// Set by admit.
	arrived time.Time
	mark    journal.Mark // where the journal stood then
	id      string       // of the request, for error pages and the log; made when it is first asked for
	scheme  string
	host    string // normalised; the key, the rules and the origin get these three
	path    string
	query   string
	site    *Site
	actions rule.Actions
	key     cache.Key

	// Decided once each.
	outcome  Outcome
	reason   policy.Reason
	fwd      policy.Fwd
	staleUse policy.StaleUse
	stored   bool // what was fetched is (being) stored

	// What happened.
	started      bool // the head is on its way to the client
	status       int
	sent         int64 // bytes of the body to the client
	originStatus int
	originBytes  int64
	flightBytes  int64 // of the body that this request's own flight fetched; counted by the flight
	own          bool  // the answer is an error page of ours
	malformed    bool  // the request is the gate's, in place of one that it refused
	ttfb         time.Duration
	hasAge       bool
	age, ttl     time.Duration
	err          error
	pace         pace // of the answer's body

	facts rule.Facts
	buf   [512]byte // where the values of fields are rendered
	small [3]string // the values of the fields that every answer has
}

var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *Exchange {
	x := exchanges.Get().(*Exchange)
	x.h, x.w, x.r = h, w, r
	x.state = h.state.Load()
	x.arrived, x.mark = time.Now(), h.Journal.Now()
	x.conn, _ = r.Context().Value(connKey{}).(*Conn)
	x.scheme = "http"
	if r.TLS != nil || x.conn != nil && x.conn.tls != nil {
		x.scheme = "https"
	}
	x.settleBody()
	return x
}

// end writes the access log and the metrics, and gives the exchange back. A
// handler's panic passes through it: http.ErrAbortHandler is how a stream is
// cut, anything else is a bug that must not take the process down.
func (x *Exchange) end() {
	fault := recover()
	if fault != nil && fault != http.ErrAbortHandler {
		x.h.fault(x, fault)
		if !x.started {
			x.fail(http.StatusInternalServerError, "", "a fault of this server; it is logged under the request's id")
			fault = nil
		} else {
			fault = http.ErrAbortHandler
		}
	}
	took := time.Since(x.arrived)
	x.h.Metrics.observe(x, took)
	x.log(took)
	buf := x.key.Bytes
	*x = Exchange{}
	x.key.Bytes = buf[:0]
	exchanges.Put(x)
	if fault != nil {
		panic(fault)
	}
}

func (x *Exchange) log(took time.Duration) {
	if x.h.Log == nil {
		return
	}
	rec := accesslog.Record{
		Time: x.arrived, ID: x.requestID(), Client: x.client(), Method: x.r.Method, Scheme: x.scheme, Host: x.host,
		Path: x.path, Query: x.query, Proto: x.r.Proto, Status: x.status, Outcome: x.outcome.String(), Reason: x.reason.String(),
		Bytes: x.sent, OriginBytes: x.originBytes + x.flightBytes, OriginStatus: x.originStatus, Duration: took, TTFB: x.ttfb,
		Age: x.age, TTL: x.ttl, HasAge: x.hasAge, HasTTL: x.hasAge,
		Referer: x.r.Header.Get("Referer"), UserAgent: x.r.Header.Get("User-Agent"),
	}
	if rec.Host == "" {
		rec.Host = x.r.Host
	}
	if rec.Path == "" {
		rec.Path = x.r.RequestURI
	}
	if x.malformed {
		rec.Method, rec.Host, rec.Path = "", "", "" // nothing of it can be trusted
	}
	if x.site != nil {
		rec.Site = x.site.Name
	}
	if x.scheme == "https" {
		rec.TLS = x.tlsVersion()
	}
	if x.err != nil {
		rec.Error = x.err.Error()
	}
	x.h.Log.Put(&rec)
}

// requestID is 16 hexadecimal digits, for finding the request in the log.
func (x *Exchange) requestID() string {
	if x.id == "" {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		x.id = hex.EncodeToString(b[:])
	}
	return x.id
}

// client is the address of the peer.
func (x *Exchange) client() netip.Addr {
	if x.conn != nil {
		return x.conn.client
	}
	ap, _ := netip.ParseAddrPort(x.r.RemoteAddr)
	return ap.Addr().Unmap()
}

// isRead reports a method that the cache can answer.
func (x *Exchange) isRead() bool {
	return x.r.Method == http.MethodGet || x.r.Method == http.MethodHead
}

// settleBody finds out whether an HTTP/3 request without Content-Length carries
// content: quic-go gives each a body of unknown length, and for GET and HEAD it
// decides whether the cache may answer. The end of the stream comes with the
// head, or else within limits.header_timeout.
func (x *Exchange) settleBody() {
	r := x.r
	if r.ProtoMajor != 3 || r.ContentLength >= 0 || r.Body == nil || !x.isRead() {
		return
	}
	c := http.NewResponseController(x.w)
	if c.SetReadDeadline(x.arrived.Add(time.Duration(x.state.limits.HeaderTimeout))) != nil {
		return
	}
	var first [1]byte
	n, err := r.Body.Read(first[:])
	_ = c.SetReadDeadline(time.Time{}) // it could be set just now
	switch {
	case n == 0 && err == io.EOF:
		r.Body, r.ContentLength = http.NoBody, 0
	case n > 0:
		r.Body = &peeked{first: first[:], ReadCloser: r.Body}
	}
}

// peeked is a body whose first byte was looked at.
type peeked struct {
	first []byte
	io.ReadCloser
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.ReadCloser.Read(b)
}

// hasBody reports whether the request carries content.
func (x *Exchange) hasBody() bool { return x.r.ContentLength != 0 || len(x.r.TransferEncoding) > 0 }

// makeKey makes the cache key, after the rules have had their say.
func (x *Exchange) makeKey() {
	shape := x.site.shape
	shape.Branch = x.actions.Branch
	if len(x.actions.KeyHeaders) > 0 {
		shape.Headers = x.actions.KeyHeaders
	}
	if len(x.actions.KeyCookies) > 0 {
		shape.Cookies = x.actions.KeyCookies
	}
	x.key.Bytes = shape.Append(x.key.Bytes[:0], x.scheme, x.host, x.path, x.query, x.r.Header)
	x.h.Store.Hash(&x.key)
}

// subject is what purges select the response of this request by.
func (x *Exchange) subject() journal.Subject {
	text := x.host + x.path
	return journal.Subject{
		Site: x.site.hash,
		Key:  urlHash(text, x.query),
		Host: journal.HashOf(journal.ByHost, x.host),
		Text: text,
	}
}

// urlHash names a URL, given as host + path and query, for purges and
// invalidations: all responses of whatever key and variant.
func urlHash(text, query string) journal.Hash {
	if query != "" {
		text += "?" + query
	}
	return journal.HashOf(journal.ByKey, text)
}

// tags reads Surrogate-Key (space separated) and Cache-Tag (comma separated).
// More than maxTags are cut off: a purge of one of those would miss, so the
// caller does not store the response.
func tags(site string, h http.Header) (hashes []journal.Hash, ok bool) {
	add := func(tag string) {
		if tag = strings.TrimSpace(tag); tag != "" {
			hashes = append(hashes, journal.HashOf(journal.ByTag, site, tag))
		}
	}
	for _, line := range h["Surrogate-Key"] {
		for tag := range strings.FieldsSeq(line) {
			add(tag)
		}
	}
	for _, line := range h["Cache-Tag"] {
		for tag := range strings.SplitSeq(line, ",") {
			add(tag)
		}
	}
	return hashes, len(hashes) <= maxTags
}

// maxTags is how many tags a stored response may have.
const maxTags = 4096

// onlyIfCached reports the request directive of that name (RFC 9111 §5.2.1.7).
func onlyIfCached(h http.Header) bool {
	lines := h["Cache-Control"]
	return len(lines) > 0 && policy.ParseCacheControl(lines).OnlyIfCached
}
