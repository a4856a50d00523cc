package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// The steps of the tour that show what is kept, and by which protocols it is
// served.

func (t *tour) missThenHit(p *proof) error {
	clear, _ := t.urls(tourHost)
	before := t.site.Requests("/")
	first, err := get(p.ctx, t.clients.h1, clear+"/")
	if err != nil {
		return err
	}
	second, err := get(p.ctx, t.clients.h1, clear+"/")
	if err != nil {
		return err
	}
	p.saw("%v", first)
	p.saw("%v", second)
	p.saw("origin requests for /: %d before, %d after", before, t.site.Requests("/"))
	p.want(first.proto == "HTTP/1.1", "HTTP/1.1 was asked for, %s came", first.proto)
	p.want(first.status == 200 && second.status == 200, "both answers are 200")
	p.want(first.says("fwd=uri-miss") && first.says("stored"), "the first is a miss that is stored")
	p.want(second.says("hit") && second.header.Get("Age") != "", "the second is a hit and has an Age")
	p.want(bytes.Equal(first.body, second.body), "both bodies are the same")
	p.want(t.site.Requests("/")-before == 1, "the origin was asked once")
	return nil
}

func (t *tour) wholeSite(p *proof) error {
	_, secure := t.urls(tourHost)
	total := 0
	for _, f := range t.site.files {
		before := t.site.Requests(f.path)
		for range 2 {
			a, err := get(p.ctx, t.clients.h2, secure+f.path)
			if err != nil {
				return err
			}
			p.want(a.status == 200 && bytes.Equal(a.body, f.body), "%s: %d with %d bytes; the origin has 200 with %d", f.path, a.status, len(a.body), len(f.body))
			total += len(a.body)
		}
		fetched := t.site.Requests(f.path) - before
		p.want(fetched == 1 || fetched == 0 && f.path == "/", "%s: %d origin requests", f.path, fetched)
	}
	p.saw("%d pages, styles, scripts and images, each twice: %d bytes over HTTP/2, every byte as the origin has it", len(t.site.files), total)
	p.saw("the second of each was a hit; / was kept from the step before, over HTTP/1.1")
	return nil
}

func (t *tour) http2(p *proof) error {
	_, secure := t.urls(tourHost)
	a, err := get(p.ctx, t.clients.h2, secure+"/")
	if err != nil {
		return err
	}
	p.saw("%v", a)
	p.want(a.proto == "HTTP/2.0" && a.status == 200, "the answer is HTTP/2, 200")
	p.want(a.says("hit"), "it is a hit")

	none := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: tourHost, MinVersion: tls.VersionTLS12}
	dialer := tls.Dialer{Config: none}
	c, err := dialer.DialContext(p.ctx, "tcp", t.httpsAddr())
	if err == nil {
		c.Close()
	}
	var unknown x509.UnknownAuthorityError
	p.want(errors.As(err, &unknown), "a client without the root refuses the certificate (%v)", err)
	p.saw("without the root: %v", err)
	return nil
}

func (t *tour) http3(p *proof) error {
	_, secure := t.urls(tourHost)
	a, err := get(p.ctx, t.clients.h2, secure+"/freshness.html")
	if err != nil {
		return err
	}
	field := a.header.Get("Alt-Svc")
	p.saw("over %s: Alt-Svc: %s", a.proto, field)
	port, ok := altPort(field)
	if !ok {
		return fmt.Errorf("no h3 in Alt-Svc %q", field)
	}
	before := t.site.Requests("/freshness.html")
	// The authority stays; only the place to connect to is another (RFC 7838 §2.1).
	_, own, err := net.SplitHostPort(strings.TrimPrefix(secure, "https://"))
	if err != nil {
		return err
	}
	p.want(port == own, "the edge announces its own port %s, not %s", own, port)
	b, err := get(p.ctx, t.clients.h3, "https://"+tourHost+":"+port+"/freshness.html")
	if err != nil {
		return err
	}
	p.saw("%v", b)
	p.want(b.proto == "HTTP/3.0" && b.status == 200, "the answer is HTTP/3, 200")
	p.want(b.says("hit") && bytes.Equal(a.body, b.body), "it is a hit with the same bytes")
	p.want(t.site.Requests("/freshness.html") == before, "the origin was not asked")
	return nil
}

// altPort finds the port of h3 on the same host in an Alt-Svc field (RFC 7838).
func altPort(field string) (port string, ok bool) {
	for alternative := range strings.SplitSeq(field, ",") {
		value, _, _ := strings.Cut(strings.TrimSpace(alternative), ";")
		if quoted, found := strings.CutPrefix(value, "h3="); found {
			authority, err := strconv.Unquote(quoted)
			if err != nil {
				return "", false
			}
			host, port, err := net.SplitHostPort(authority)
			if err != nil || host != "" || port == "" {
				return "", false
			}
			return port, true
		}
	}
	return "", false
}

func (t *tour) rule(p *proof) error {
	clear, _ := t.urls(tourHost)
	direct, err := get(p.ctx, t.clients.h1, "http://"+t.origin.String()+"/static/site.css")
	if err != nil {
		return err
	}
	a, err := get(p.ctx, t.clients.h1, clear+"/static/site.css")
	if err != nil {
		return err
	}
	ttl := 0
	for param := range strings.SplitSeq(a.cacheStatus(), ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(param), "ttl="); ok {
			ttl, _ = strconv.Atoi(v)
		}
	}
	p.saw("origin: Cache-Control: %q", direct.header.Get("Cache-Control"))
	p.saw("edge:   Cache-Control: %q, X-Served-By: %q, Cache-Status: %s", a.header.Get("Cache-Control"), a.header.Get("X-Served-By"), a.cacheStatus())
	p.want(direct.header.Get("Cache-Control") == "" && direct.cacheStatus() == "", "the origin states no freshness")
	p.want(a.says("hit") && ttl > 86000 && ttl <= 86400, "it is a hit, and fresh for a day less the tour's seconds, not %d s", ttl)
	p.want(a.header.Get("X-Served-By") == "levee demo" && a.header.Get("Cache-Control") == "public, max-age=3600", "the rules' response fields are there")
	return nil
}

func (t *tour) validated(p *proof) error {
	clear, _ := t.urls(tourHost)
	const path = "/api/version"
	first, err := get(p.ctx, t.clients.h1, clear+path)
	if err != nil {
		return err
	}
	before := t.site.Requests(path)
	second, err := get(p.ctx, t.clients.h1, clear+path)
	if err != nil {
		return err
	}
	p.saw("%v", first)
	p.saw("%v", second)
	p.saw("origin requests for %s: %d before the second, %d after: no-cache has it asked each time", path, before, t.site.Requests(path))
	p.want(first.says("stored"), "the first is stored")
	p.want(second.status == 200 && second.says("fwd=stale") && second.says("fwd-status=304"), "the second was validated by a 304 and answered 200")
	p.want(len(second.body) > 0 && bytes.Equal(first.body, second.body), "with the body that was kept")
	p.want(t.site.Requests(path)-before == 1, "by one request to the origin")
	return nil
}

func (t *tour) conditional(p *proof) error {
	_, secure := t.urls(tourHost)
	const path = "/streams.html"
	whole, err := get(p.ctx, t.clients.h2, secure+path)
	if err != nil {
		return err
	}
	before := t.site.Requests(path)
	for _, c := range []*http.Client{t.clients.h1, t.clients.h2, t.clients.h3} {
		a, err := get(p.ctx, c, secure+path, "If-None-Match: "+whole.header.Get("Etag"))
		if err != nil {
			return err
		}
		p.saw("If-None-Match: %s: %v", whole.header.Get("Etag"), a)
		p.want(a.status == http.StatusNotModified && len(a.body) == 0 && a.says("hit"), "%s: 304 without a body", a.proto)
	}
	a, err := get(p.ctx, t.clients.h1, secure+path, `If-None-Match: "another"`)
	if err != nil {
		return err
	}
	p.want(a.status == 200 && bytes.Equal(a.body, whole.body), "another tag gets the whole, 200")
	p.want(t.site.Requests(path) == before, "the origin was not asked")
	return nil
}

func (t *tour) head(p *proof) error {
	clear, _ := t.urls(tourHost)
	const path = "/static/river.png"
	whole, err := get(p.ctx, t.clients.h1, clear+path)
	if err != nil {
		return err
	}
	before := t.site.Requests(path)
	a, err := ask(p.ctx, t.clients.h1, http.MethodHead, clear+path, nil)
	if err != nil {
		return err
	}
	p.saw("%v, Content-Length: %d", a, a.length)
	p.want(a.status == 200 && a.says("hit") && len(a.body) == 0, "a hit without a body")
	p.want(a.length == int64(len(whole.body)) && a.header.Get("Etag") == whole.header.Get("Etag"), "with the length and the tag of the GET")
	p.want(t.site.Requests(path) == before, "the origin was not asked")
	return nil
}

func (t *tour) unknownHost(p *proof) error {
	clear, secure := t.urls(tourHost)
	f := t.node.Config.Sites[0]
	named := *t.node.Config
	f.Hosts = []string{tourHost}
	named.Sites = append(named.Sites[:0:0], f)
	anyHost := t.node.Config
	if err := t.node.Reload(&named); err != nil {
		return fmt.Errorf("reload with hosts [%s]: %w", tourHost, err)
	}
	before := t.site.Total()
	for _, c := range []struct {
		client *http.Client
		url    string
		status int
	}{{t.clients.h1, clear, 404}, {t.clients.h1, secure, 421}, {t.clients.h2, secure, 421}, {t.clients.h3, secure, 421}} {
		a, err := get(p.ctx, c.client, c.url+"/", "Host: other.example")
		if err != nil {
			return err
		}
		p.saw("Host: other.example: %s %d: %s", a.proto, a.status, strings.SplitN(string(a.body), "\n", 2)[0])
		p.want(a.status == c.status, "%s: %d was expected", a.proto, c.status)
		p.want(a.header.Get("X-Served-By") == "", "nothing of the site shows in it")
		a, err = get(p.ctx, c.client, c.url+"/")
		if err != nil {
			return err
		}
		p.want(a.status == 200 && a.says("hit"), "the site itself is still served from the cache: %v", a)
	}
	p.want(t.site.Total() == before, "the origin was not asked")
	p.saw("the site had any host; a reload gave it one name, and what was kept stayed")
	return t.node.Reload(anyHost)
}

func (t *tour) counts(p *proof) error {
	clear, _ := t.urls(tourHost)
	admin := "http://" + t.adminAddr()
	ready, err := get(p.ctx, t.clients.h1, admin+"/readyz")
	if err != nil {
		return err
	}
	before, err := t.settled(p)
	if err != nil {
		return err
	}
	const n = 25
	var bytes int
	for range n {
		a, err := get(p.ctx, t.clients.h1, clear+"/")
		if err != nil {
			return err
		}
		bytes += len(a.body)
	}
	after, err := t.settled(p)
	if err != nil {
		return err
	}
	p.saw("/readyz: %d %s", ready.status, strings.TrimSpace(string(ready.body)))
	p.saw("/metrics: %.0f requests before, %.0f after %d more; %.0f bytes sent, %d received; %.1f%% of all were hits", before.requests, after.requests, n,
		after.sent-before.sent, bytes, 100*after.hits/after.requests)
	p.want(ready.status == 200, "the node is ready")
	p.want(after.requests-before.requests == n && after.hits-before.hits == n, "%d hits more are counted, not %.0f", n, after.hits-before.hits)
	p.want(after.sent-before.sent == float64(bytes), "every byte sent is counted")
	return nil
}
