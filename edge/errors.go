package edge

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"levee/edge/cachekey"
	"levee/origin"
	"levee/purge/journal"
)

// refuse answers a request that is the client's mistake. It reports false, for
// admit.
func (x *Exchange) refuse(status int, why string) bool {
	x.outcome = Refused
	x.fail(status, "", why)
	return false
}

// badGateway answers for an origin that did not.
func (x *Exchange) badGateway(err error) {
	status, kind := http.StatusBadGateway, origin.ProtocolError
	var oe *origin.Error
	var five errOrigin
	switch {
	case errors.As(err, &oe):
		status, kind = oe.Kind.Status(), oe.Kind
	case errors.As(err, &five):
		status, kind = five.status, origin.Unavailable
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status, kind = http.StatusServiceUnavailable, origin.Unavailable
	}
	x.fail(status, kind.String(), "the origin did not answer as it should: "+kind.String())
}

// fail answers with an error page: the site's own, or a line that says what and
// the request's id. proxyError is a token of RFC 9209, for what came from the
// origin's side.
func (x *Exchange) fail(status int, proxyError, why string) {
	h := x.w.Header()
	h["Cache-Control"] = noStore
	x.own = true
	if proxyError != "" {
		h.Set("Proxy-Status", x.h.cacheName+"; error="+proxyError)
	}
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	h.Set("X-Request-Id", x.requestID())
	if x.site != nil {
		if p, ok := x.site.page(status); ok {
			h["Content-Type"] = []string{p.contentType}
			x.body(status, p.body)
			return
		}
	}
	x.plain(status, strconv.Itoa(status)+" "+http.StatusText(status)+": "+why+"\nrequest "+x.requestID()+"\n")
}

// plain answers with a text of ours.
func (x *Exchange) plain(status int, text string) {
	if text != "" {
		x.w.Header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
		x.w.Header()["X-Content-Type-Options"] = []string{"nosniff"}
	}
	x.body(status, []byte(text))
}

func (x *Exchange) body(status int, p []byte) {
	x.head(status, int64(len(p)))
	if x.r.Method != http.MethodHead && bodyAllowed(status) && len(p) > 0 {
		x.write(p)
	}
}

// page finds the site's page for a status: of the status, its class, or the
// default one.
func (s *Site) page(status int) (page, bool) {
	for _, name := range [...]string{strconv.Itoa(status), strconv.Itoa(status/100) + "xx", "default"} {
		if p, ok := s.pages[name]; ok {
			return p, true
		}
	}
	return page{}, false
}

// sameHost names the URL of a Location or Content-Location for invalidation, if
// it is on the request's own host: another's must not be invalidated for it
// (RFC 9111 §4.4).
func (x *Exchange) sameHost(location string) (hash journal.Hash, ok bool) {
	if location == "" {
		return hash, false
	}
	base := &url.URL{Scheme: x.scheme, Host: x.host, Path: x.facts.Path}
	u, err := base.Parse(location)
	if err != nil {
		return hash, false
	}
	host, ok := cachekey.Host(u.Host)
	if !ok || host != x.host {
		return hash, false
	}
	path, ok := cachekey.Path(u.EscapedPath())
	if !ok {
		return hash, false
	}
	query := u.RawQuery
	if x.actions.Query != nil {
		query = x.actions.Query.Apply(query)
	}
	return urlHash(host+path, query), true
}
