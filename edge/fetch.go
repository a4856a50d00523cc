package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"levee/edge/cache"
	"levee/edge/cachekey"
	"levee/edge/collapse"
	"levee/edge/policy"
	"levee/origin"
	"levee/purge/journal"
)

// fetch is one fetch of a flight: what it needs of the request that began it,
// which it may outlive.
type fetch struct {
	h       *Handler
	f       *collapse.Flight
	site    *Site
	pool    *origin.Pool
	key     cache.Key
	subject journal.Subject // without tags
	header  http.Header     // the client's, as far as it goes to the origin
	vary    http.Header     // the client's own, for the variant; nobody changes it
	host    string
	url     url.URL
	terms   policy.Terms
	facts   policy.RequestFacts
	stale   *cache.Stored // to be validated, or nil
	verdict journal.Verdict
	maxBody int64
	marker  time.Duration
	kept    bool // what it brought is in the store
}

// errOrigin is a 5xx in place of which a stale response may be served.
type errOrigin struct{ status int }

func (e errOrigin) Error() string { return "the origin answered " + strconv.Itoa(e.status) }

// newFetch copies what a fetch needs. The Exchange may go on and end.
func (x *Exchange) newFetch(f *collapse.Flight, stale *cache.Stored, v journal.Verdict) *fetch {
	g := &fetch{
		h: x.h, f: f, site: x.site, pool: x.pool(), stale: stale, verdict: v,
		key:     cache.Key{Bytes: slices.Clone(x.key.Bytes)},
		subject: x.subject(),
		header:  x.forwardHeader(),
		host:    x.host,
		terms:   x.actions.Terms,
		facts:   policy.RequestFacts{Method: http.MethodGet, Authorization: len(x.r.Header["Authorization"]) > 0},
		maxBody: x.state.maxBody,
		marker:  x.state.missMarker,
	}
	x.h.Store.Hash(&g.key)
	x.originURL(&g.url)
	g.vary = x.r.Header
	// A flight's fetch asks for the whole representation, in the codings that
	// its variant stands for, whatever its first client asked for (DESIGN
	// section 4).
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"} {
		delete(g.header, name)
	}
	if lines, ok := x.r.Header["Accept-Encoding"]; ok {
		g.header["Accept-Encoding"] = []string{cachekey.AcceptEncoding(lines).String()}
	}
	return g
}

// pool is the pool that the request goes to.
func (x *Exchange) pool() *origin.Pool {
	if p := x.site.pools[x.actions.Origin]; p != nil {
		return p
	}
	return x.site.pool
}

// originURL sets path and query as the origin gets them.
func (x *Exchange) originURL(u *url.URL) {
	path := x.path
	if x.actions.Rewrite != nil {
		path = x.actions.Rewrite.Path(path)
	}
	u.Path, u.RawPath = path, ""
	if strings.IndexByte(path, '%') >= 0 {
		u.RawPath = path
		u.Path, _ = url.PathUnescape(path) // cachekey.Path has checked the escapes
	}
	u.RawQuery = x.query
}

// forwardHeader is the request's header as an origin gets it: without what
// belongs to one connection (RFC 9110 §7.6.1), with what we say ourselves in
// place of what a client claims.
func (x *Exchange) forwardHeader() http.Header {
	h := x.r.Header.Clone()
	policy.HopByHop(h)
	loop := h["Cdn-Loop"] // a list that every CDN on the way adds to (RFC 8586)
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
		"X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Prefix", "X-Real-Ip",
		"X-Original-Url", "X-Rewrite-Url", "X-Host", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
		"Levee-Token"} {
		delete(h, name)
	}
	own := [...]string{x.client().String(), x.scheme, x.host, x.via(), x.h.loopID}
	h["X-Forwarded-For"] = own[0:1:1]
	h["X-Forwarded-Proto"] = own[1:2:2]
	h["X-Forwarded-Host"] = own[2:3:3] // without its port, like the Host that we send: it is not in the key
	h["Via"] = after(h["Via"], own[3:4:4])
	h["Cdn-Loop"] = after(loop, own[4:5:5])
	x.actions.Request.Apply(h)
	return h
}

// after is list with one more line.
func after(list, one []string) []string {
	if len(list) == 0 {
		return one
	}
	return append(list[:len(list):len(list)], one...)
}

func orEmpty(sep, s string) string {
	if s == "" {
		return ""
	}
	return sep + s
}

// via is our member of a request's Via, with the protocol that it came by
// (RFC 9110 §7.6.3).
func (x *Exchange) via() string {
	return x.h.vias[min(x.r.ProtoMajor, len(x.h.vias)-1)]
}

// flightName is what requests that may share a flight have in common: the key,
// and the variant by what its responses vary by. Before the first response
// nothing is known of variants, and all share one.
func (x *Exchange) flightName(vary []string) string {
	name := string(x.key.Bytes)
	if len(vary) > 0 {
		name += "\x00" + string(cachekey.AppendVariant(nil, vary, x.r.Header, x.site.norm))
	}
	return name
}

// fly joins the flight of the request's key, or begins one, and serves what it
// brings. It reports false when the cache must be asked again.
func (x *Exchange) fly(stale *cache.Stored, found *cache.Found) bool {
	name := x.flightName(found.Vary)
	for range maxRegroups {
		mark := x.h.Journal.Now()
		f, lead := x.h.Flights.Join(name, mark, func() bool {
			now := time.Now()
			again := x.h.Store.Lookup(&x.key, x.r.Header, x.mark, now)
			return again.Stored != nil && again.Stored != stale && usable(again.Stored, again.Verdict, now) == fresh
		})
		if f == nil {
			return false
		}
		if lead {
			x.newFetch(f, stale, found.Verdict).run(true)
		}
		head, err := f.Wait(x.r.Context())
		if err != nil {
			f.Leave()
			x.gone(err)
			return true
		}
		x.outcome = Collapsed
		if lead {
			x.outcome = Miss
		}
		switch f.Outcome(x.h.Journal, x.r.Header, x.mark, lead) {
		case collapse.Read:
			x.read(f, head)
			return true
		case collapse.Purged:
			f.Detach()
			f.Leave()
		case collapse.OtherVariant:
			f.Leave()
			name = string(x.key.Bytes) + "\x00" + collapse.VariantOf(head, x.r.Header)
			stale = nil // it was another variant's, if there was one
		case collapse.Private:
			x.reason = head.Reason
			f.Leave()
			x.alone(stale, found.Verdict)
			return true
		case collapse.Failed:
			f.Leave()
			x.failed(stale, found.Verdict, head.Err)
			return true
		}
	}
	// The origin names another Vary each time: no flight will ever be ours.
	x.alone(nil, journal.Verdict{})
	return true
}

// maxRegroups bounds how often a request joins yet another flight.
const maxRegroups = 4

// alone fetches for this request only, without waiting for another and without
// being waited for; what it brings is stored like everything else.
func (x *Exchange) alone(stale *cache.Stored, v journal.Verdict) {
	f := x.h.Flights.Alone(x.h.Journal.Now())
	x.newFetch(f, stale, v).run(true)
	head, err := f.Wait(x.r.Context())
	if err != nil {
		f.Leave()
		x.gone(err)
		return
	}
	x.outcome = Pass
	if head.Err != nil {
		f.Leave()
		x.failed(stale, v, head.Err)
		return
	}
	x.read(f, head)
}

// read serves the response of a flight.
func (x *Exchange) read(f *collapse.Flight, head *collapse.Head) {
	x.originStatus = head.Status
	x.stored = head.Reason == policy.ReasonNone
	if !x.stored {
		x.reason = head.Reason
	}
	if head.Status == http.StatusNotModified {
		x.outcome = Revalidated
	}
	defer func() {
		if x.outcome == Miss || x.outcome == Pass {
			x.flightBytes = head.Stored.Body.Progress()
		}
		f.Leave()
	}()
	now := time.Now()
	if !x.sendPrepared(head.Stored, f, now) {
		x.send(head.Stored, f, now)
	}
}

// failed serves a stale response in place of an error, where that is allowed,
// else the error.
func (x *Exchange) failed(stale *cache.Stored, v journal.Verdict, err error) {
	x.err = err
	var oe errOrigin
	if errors.As(err, &oe) {
		x.originStatus = oe.status
	}
	if stale != nil {
		now := time.Now()
		if use := usable(stale, v, now); use >= policy.IfError || use == policy.IfUnreachable && oe.status == 0 {
			x.outcome, x.staleUse = Stale, use
			x.send(stale, nil, now)
			return
		}
	}
	x.outcome = Failed
	x.badGateway(err)
}

// revalidateBehind begins a flight for a stale response that is being served,
// unless one is under way.
func (x *Exchange) revalidateBehind(stale *cache.Stored, found *cache.Found) {
	name := x.flightName(found.Vary)
	f, lead := x.h.Flights.Join(name, x.h.Journal.Now(), func() bool { return false })
	if lead {
		go x.newFetch(f, stale, found.Verdict).run(false)
	}
	f.Leave()
}

// inlineBody is the largest announced length in bytes that the one who began a
// flight waits for before it writes to its own client: what comes in one or two
// packets is cheaper to read whole than to hand from goroutine to goroutine.
const inlineBody = 16 << 10

// run drives a flight to its end: ask the origin, decide, let everyone read,
// store. With inline, which is for a goroutine that has a client of its own to
// serve, it returns as soon as a body is known to be larger than inlineBody,
// and goes on in another goroutine.
func (g *fetch) run(inline bool) {
	defer g.rescue()
	t := g.begin()
	switch {
	case t == nil:
		g.f.Done(g.kept)
	case inline && (t.resp.ContentLength < 0 || t.resp.ContentLength > inlineBody):
		go func() {
			defer g.rescue()
			g.finish(t)
		}()
	default:
		g.finish(t)
	}
}

// rescue ends a flight that met a fault of ours: it must not end the process.
func (g *fetch) rescue() {
	if fault := recover(); fault != nil {
		x := &Exchange{h: g.h, r: &http.Request{Method: http.MethodGet, Host: g.host, RequestURI: g.url.RequestURI()}}
		g.h.fault(x, fault)
		g.f.Fail(fmt.Errorf("a fault of this server: %v", fault))
	}
}

// begin asks the origin until the flight's head is known. It returns the answer
// whose body is to be read, or nil when there is nothing left to do.
func (g *fetch) begin() *taken {
	for began := g.f.Began; ; began = g.h.Journal.Now() {
		resp, times, conditional, err := g.ask()
		if err != nil {
			g.f.Resolve(collapse.Head{Err: err})
			return nil
		}
		switch {
		case resp.StatusCode == http.StatusNotModified && conditional:
			drain(resp.Body)
			if g.freshen(resp, times, began) {
				g.kept = true // its body is the old one's
				return nil
			}
			// Hard-purged since: what was validated must not be used again.
			g.stale = nil
		case conditional && servesStale(resp.StatusCode) && usable(g.stale, g.verdict, time.Now()) >= policy.IfError:
			resp.Body.Close()
			g.f.Resolve(collapse.Head{Err: errOrigin{resp.StatusCode}, Status: resp.StatusCode})
			return nil
		default:
			return g.take(resp, times, began)
		}
	}
}

// servesStale reports the statuses that RFC 5861 §4 counts as errors.
func servesStale(status int) bool {
	return status == 500 || status == 502 || status == 503 || status == 504
}

// ask sends the request, with the validators of a stale response.
func (g *fetch) ask() (resp *http.Response, t policy.Times, conditional bool, err error) {
	header := g.header
	if g.stale != nil {
		header = header.Clone()
		if g.stale.ETag != "" {
			header["If-None-Match"] = []string{g.stale.ETag}
		}
		if g.stale.LastModified != "" {
			header["If-Modified-Since"] = []string{g.stale.LastModified}
		}
	}
	u := g.url
	req := (&http.Request{
		Method: http.MethodGet, URL: &u, Host: g.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(g.f.Ctx)
	t.Request = time.Now()
	resp, err = g.pool.RoundTrip(req)
	t.Response = time.Now()
	return resp, t, g.stale != nil, err
}

// freshen answers a 304: the stale response lives on with the new fields. It
// reports false when it may not.
func (g *fetch) freshen(resp *http.Response, t policy.Times, began journal.Mark) bool {
	old := g.stale
	if g.h.Journal.Judge(old.Subject, max(old.Began, began), g.h.Journal.Now()).Kind == journal.Hard {
		return false
	}
	policy.HopByHop(resp.Header)
	header := policy.Freshen(old.Header.HTTP(), resp.Header)
	d := policy.Decide(g.facts, old.Status, header, t, &g.terms)
	st := g.describe(cache.Freshened(old, g.subject), old.Status, header, &d, max(old.Began, began), old.Variant)
	if d.Store {
		g.h.Store.Freshen(&g.key, old, st)
	} else {
		g.h.Store.Drop(&g.key, old)
	}
	// All who joined asked for this validation; one that arrived later than it
	// began is judged by what it says of sharing, like any response.
	g.f.Resolve(collapse.Head{Stored: st, Share: d.Share, Reason: d.Reason, Status: http.StatusNotModified})
	return true
}

// taken is an answer whose head is told and whose body is still to be read.
type taken struct {
	resp *http.Response
	body *cache.Body
	keep *cache.Stored // to be stored, nil = not
	vary []string
}

// take decides on an answer that is not a 304, and tells its head.
func (g *fetch) take(resp *http.Response, t policy.Times, began journal.Mark) *taken {
	policy.HopByHop(resp.Header)
	d := policy.Decide(g.facts, resp.StatusCode, resp.Header, t, &g.terms)
	vary, star := policy.ParseVary(resp.Header["Vary"])
	if star {
		vary = nil
	}
	validator := strongETag(resp.Header)
	if resp.ContentLength > g.maxBody && d.Store {
		// It streams through a window. Several readers can share that only if
		// one that falls behind can fetch the rest by itself.
		d.Store, d.Reason = false, policy.ReasonTooLarge
		if validator == "" {
			d.Share = policy.Alone
		}
	}
	if !d.Store && resp.StatusCode >= 500 && sharedError(d.Reason) {
		// An error for one is an error for all who wait: they do not storm an
		// origin that is down.
		d.Share = policy.Shared
	}
	if mark := g.marks(resp.StatusCode, &d); mark {
		g.h.Store.MarkMiss(&g.key, t.Response.Add(g.marker), d.Reason)
	}

	size := resp.ContentLength
	if size < 0 || resp.Uncompressed {
		size = -1
	}
	st := cache.NewStored(g.subject, size, d.Store, g.h.Store.Budget)
	variant := ""
	if len(vary) > 0 {
		variant = string(cachekey.AppendVariant(nil, vary, g.vary, g.site.norm))
	}
	g.describe(st, resp.StatusCode, resp.Header, &d, began, variant)
	if validator != "" {
		st.Body.Validator = st.ETag
	}
	answer := &taken{resp: resp, body: st.Body, keep: st, vary: vary}
	if len(d.Strip) > 0 && d.Store {
		// no-cache="field", private="field": one reader gets the field, the
		// store does not (RFC 9111 §5.2.2.4, §5.2.2.7).
		d.Share = policy.Alone
		whole := d
		whole.Strip = nil
		st = g.describe(cache.Freshened(st, g.subject), resp.StatusCode, resp.Header, &whole, began, variant)
	}
	if !d.Store {
		answer.keep = nil
	}
	g.f.Resolve(collapse.Head{Stored: st, Share: d.Share, Reason: d.Reason, Vary: vary, Norm: g.site.norm, Status: resp.StatusCode})
	return answer
}

// finish reads the body, stores the answer and ends the flight.
func (g *fetch) finish(t *taken) {
	defer t.resp.Body.Close()
	err := t.body.Fill(g.f.Ctx, t.resp.Body, g.maxBody, func(err error) {
		if err != nil {
			g.f.Detach() // whoever is cut off and asks again gets a fetch of its own
			return
		}
		g.kept = t.keep != nil && g.h.Store.Put(&g.key, t.vary, g.site.norm, t.keep)
	})
	g.site.metrics.originBytes(t.body.Progress())
	if err != nil && !errors.Is(err, cache.ErrAbandoned) && !errors.Is(err, context.Canceled) {
		g.h.Metrics.truncated.Inc()
		g.h.Logger.Warn("a body from the origin broke off; its readers are cut, nothing of it is stored",
			"site", g.site.Name, "url", g.host+g.url.RequestURI(), "bytes", t.body.Progress(), "err", err)
	}
	g.f.Done(g.kept)
}

// sharedError reports whether an error response that is not stored for this
// reason may be given to those who waited for it.
func sharedError(r policy.Reason) bool {
	return r == policy.ReasonNoFreshness || r == policy.ReasonStale || r == policy.ReasonStatus
}

// marks reports whether an unshareable response leaves a hit-for-miss marker.
// Only requests without Authorization do: theirs are private by nature.
func (g *fetch) marks(status int, d *policy.Decision) bool {
	if g.marker <= 0 || g.facts.Authorization || status >= 500 {
		return false
	}
	return d.Share == policy.Alone || d.Reason == policy.ReasonTooLarge
}

// describe fills in a response that is read and perhaps kept. Too many tags make
// one that may not be kept: a purge of a tag that was cut off would miss it.
func (g *fetch) describe(st *cache.Stored, status int, h http.Header, d *policy.Decision, began journal.Mark, variant string) *cache.Stored {
	var ok bool
	if st.Subject.Tags, ok = tags(g.site.Name, h); !ok {
		d.Store, d.Share, d.Reason = false, policy.Alone, policy.ReasonTooLarge
	}
	st.Status, st.Life, st.Began, st.Variant = status, d.Life, began, variant
	if len(h["Date"]) == 0 { // RFC 9110 §6.6.1: a recipient with a clock adds it
		h["Date"] = []string{time.Now().UTC().Format(http.TimeFormat)}
	}
	st.Date, _ = policy.ParseDate(h.Get("Date"), time.Now())
	st.Header = cache.MakeHeader(h, func(name string) bool {
		// We write these ourselves, from what they mean.
		return name == "Age" || name == "Content-Length" || name == "Trailer" || slices.Contains(d.Strip, name)
	})
	// Out of the copy: the originals hang on all that the connection has read.
	st.ETag, st.LastModified = st.Header.Get("Etag"), st.Header.Get("Last-Modified")
	return st
}

// strongETag is the entity tag, if it is a strong one (RFC 9110 §8.8.1).
func strongETag(h http.Header) string {
	tag := h.Get("Etag")
	if len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"' {
		return tag
	}
	return ""
}

// drain reads the little that may follow a head, so that the connection can be
// used again, and closes.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	body.Close()
}
