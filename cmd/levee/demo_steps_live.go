package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/websocket"
)

// The steps of the tour where time, many clients, long bodies or streams play a
// part.

func (t *tour) rangeFirst(p *proof) error {
	clear, _ := t.urls(tourHost)
	return t.ranges(p, t.clients.h1, clear, false)
}

func (t *tour) rangeKept(p *proof) error {
	_, secure := t.urls(tourHost)
	before := t.site.Requests(demoDownload)
	for _, c := range []*http.Client{t.clients.h1, t.clients.h2, t.clients.h3} {
		if err := t.ranges(p, c, secure, true); err != nil {
			return err
		}
	}
	p.want(t.site.Requests(demoDownload) == before, "the origin was not asked")
	return nil
}

// ranges asks for parts of the large file and compares each byte.
func (t *tour) ranges(p *proof, c *http.Client, base string, kept bool) error {
	size := int64(t.site.big)
	for _, r := range []struct {
		field    string
		off, end int64
	}{
		{"bytes=50000001-50065535", 50000001, 50065536},
		{"bytes=-1000", size - 1000, size},
	} {
		a, err := get(p.ctx, c, base+demoDownload, "Range: "+r.field)
		if err != nil {
			return err
		}
		p.saw("%s: %v", r.field, a)
		want := make([]byte, r.end-r.off)
		if _, err := t.site.big.ReadAt(want, r.off); err != nil && err != io.EOF {
			return err
		}
		place := fmt.Sprintf("bytes %d-%d/%d", r.off, r.end-1, size)
		p.want(a.status == http.StatusPartialContent && a.header.Get("Content-Range") == place, "206 with Content-Range: %s, not %d with %q", place, a.status, a.header.Get("Content-Range"))
		p.want(bytes.Equal(a.body, want), "%s: exactly these %d bytes", r.field, len(want))
		p.want(!kept || a.says("hit"), "%s: a hit", r.field)
		if !kept {
			break // one is enough to begin a fetch of the whole
		}
	}
	return nil
}

func (t *tour) download(p *proof) error {
	clear, secure := t.urls(tourHost)
	type sum [sha256.Size]byte
	fetch := func(c *http.Client, base string) (h sum, status string, err error) {
		req, err := http.NewRequestWithContext(p.ctx, http.MethodGet, base+demoDownload, nil)
		if err != nil {
			return h, "", err
		}
		began := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			return h, "", err
		}
		defer resp.Body.Close()
		hash := sha256.New()
		n, err := io.Copy(hash, resp.Body)
		if err != nil {
			return h, "", fmt.Errorf("%s%s after %d bytes: %w", base, demoDownload, n, err)
		}
		hash.Sum(h[:0])
		rate := float64(n) / 1e6 / time.Since(began).Seconds()
		return h, fmt.Sprintf("%s %d, %d bytes, %.0f MB/s, sha256 %x…, Cache-Status: %s", resp.Proto, resp.StatusCode, n, rate, h[:6], resp.Header.Get("Cache-Status")), nil
	}
	direct, seen, err := fetch(t.clients.h1, "http://"+t.origin.String())
	if err != nil {
		return err
	}
	p.saw("past the edge: %s", seen)
	before := t.site.Requests(demoDownload)
	for _, w := range []struct {
		client *http.Client
		base   string
	}{{t.clients.h1, clear}, {t.clients.h2, secure}, {t.clients.h3, secure}} {
		through, seen, err := fetch(w.client, w.base)
		if err != nil {
			return err
		}
		p.saw("through it:    %s", seen)
		p.want(through == direct, "the same hash")
	}
	fetched := t.site.Requests(demoDownload) - before
	p.saw("origin requests for three downloads: %d", fetched)
	p.want(fetched <= 1, "at most one of three downloads reached the origin")
	return nil
}

func (t *tour) collapsed(p *proof) error {
	clear, _ := t.urls(tourHost)
	const path, n = "/api/slow", 200
	before := t.site.Requests(path)
	began := time.Now()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		bodies  = make(map[string]int)
		joined  int
		problem error
	)
	for range n {
		wg.Go(func() {
			a, err := get(p.ctx, t.clients.h1, clear+path)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				problem = err
				return
			}
			if a.status == 200 {
				bodies[string(a.body)]++
			}
			if a.says("collapsed") {
				joined++
			}
		})
	}
	wg.Wait()
	if problem != nil {
		return problem
	}
	fetched := t.site.Requests(path) - before
	p.saw("%d requests, done in %.2f s, the origin takes 1 s for each: %d origin request, %d joined it", n, time.Since(began).Seconds(), fetched, joined)
	p.want(fetched == 1, "one origin request, not %d", fetched)
	p.want(len(bodies) == 1, "one body for all, not %d", len(bodies))
	for _, count := range bodies {
		p.want(count == n, "%d answers of 200, not %d", n, count)
	}
	p.want(joined > n/2, "most of them joined the fetch")
	return nil
}

// until asks again and again, as a client in a hurry would, until the answer is
// as wanted. It returns that answer and the number of those before it.
func (t *tour) until(p *proof, url string, wanted func(*answer) bool) (a *answer, earlier int, err error) {
	for {
		if a, err = get(p.ctx, t.clients.h1, url); err != nil || wanted(a) {
			return a, earlier, err
		}
		earlier++
		select {
		case <-p.ctx.Done():
			return a, earlier, fmt.Errorf("%s: it has not come; the last answer: %v", url, a)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (t *tour) oneSecond(p *proof) error {
	clear, _ := t.urls(tourHost)
	const path = "/api/time"
	first, _, err := t.until(p, clear+path, func(a *answer) bool { return !a.says("hit") })
	if err != nil {
		return err
	}
	before, began := t.site.Requests(path), time.Now()
	next, hits, err := t.until(p, clear+path, func(a *answer) bool { return !a.says("hit") })
	if err != nil {
		return err
	}
	took := time.Since(began)
	p.saw("%v", first)
	p.saw("%d hits in %.2f s, then: %v", hits, took.Seconds(), next)
	p.saw("origin requests for %s: %d before, %d after", path, before, t.site.Requests(path))
	p.want(hits > 0, "it was kept at all")
	// Its life began when the origin answered, a little before the client knew.
	p.want(took > 800*time.Millisecond && took < 5*time.Second, "it was kept for about a second, not %v", took)
	p.want(next.says("fwd=stale") && !bytes.Equal(first.body, next.body), "what came then is new")
	p.want(t.site.Requests(path)-before == 1, "by one request to the origin")
	return nil
}

func (t *tour) staleIfError(p *proof) error {
	clear, _ := t.urls(tourHost)
	const path = "/flaky"
	first, err := get(p.ctx, t.clients.h1, clear+path)
	if err != nil {
		return err
	}
	if _, err := ask(p.ctx, t.clients.h1, http.MethodPost, clear+"/outage?on", nil); err != nil {
		return err
	}
	defer t.site.outage.Store(false)
	direct, err := get(p.ctx, t.clients.h1, "http://"+t.origin.String()+path)
	if err != nil {
		return err
	}
	before := t.site.Requests(path)
	stale, hits, err := t.until(p, clear+path, func(*answer) bool { return t.site.Requests(path) > before })
	if err != nil {
		return err
	}
	p.saw("origin, past the edge: %d %s", direct.status, strings.TrimSpace(string(direct.body)))
	p.saw("%d hits while fresh, then: %v", hits, stale)
	p.want(first.status == 200 && direct.status == 500, "the origin answered before and fails now")
	p.want(stale.status == 200 && bytes.Equal(stale.body, first.body), "the edge still has the answer from before")
	p.want(stale.says("fwd=stale") && stale.says("detail=stale-if-error"), "and says why it may be used: stale-if-error")
	if _, err := ask(p.ctx, t.clients.h1, http.MethodPost, clear+"/outage?off", nil); err != nil {
		return err
	}
	again, _, err := t.until(p, clear+path, func(a *answer) bool { return !bytes.Equal(a.body, first.body) })
	if err != nil {
		return err
	}
	p.saw("outage over: %v", again)
	p.want(again.status == 200, "then the origin's answer comes again")
	return nil
}

func (t *tour) private(p *proof) error {
	_, secure := t.urls(tourHost)
	const path = "/private"
	before := t.site.Requests(path)
	for range 2 {
		for _, visitor := range []string{"alice", "bob"} {
			a, err := get(p.ctx, t.clients.h2, secure+path, "Cookie: visitor="+visitor)
			if err != nil {
				return err
			}
			var v struct{ Hello string }
			err = json.Unmarshal(a.body, &v)
			p.want(err == nil && v.Hello == visitor, "%s is greeted by their own name, not %q", visitor, a.body)
			p.want(strings.Contains(a.header.Get("Set-Cookie"), visitor), "and gets their own cookie, not %q", a.header.Get("Set-Cookie"))
			p.want(!a.says("hit") && !a.says("stored"), "nothing of it is stored: %s", a.cacheStatus())
			p.saw("Cookie: visitor=%s: %s, Cache-Status: %s", visitor, bytes.TrimSpace(a.body), a.cacheStatus())
		}
	}
	p.want(t.site.Requests(path)-before == 4, "each of four requests reached the origin, not %d", t.site.Requests(path)-before)
	return nil
}

func (t *tour) postInvalidates(p *proof) error {
	clear, _ := t.urls(tourHost)
	const path = "/api/note"
	var before *answer
	for range 2 {
		a, err := get(p.ctx, t.clients.h1, clear+path)
		if err != nil {
			return err
		}
		before = a
	}
	note := fmt.Sprintf("high water, %d origin requests so far", t.site.Total())
	post, err := ask(p.ctx, t.clients.h1, http.MethodPost, clear+path, []byte(note))
	if err != nil {
		return err
	}
	after, err := get(p.ctx, t.clients.h1, clear+path)
	if err != nil {
		return err
	}
	p.saw("GET:  %s, Cache-Status: %s", bytes.TrimSpace(before.body), before.cacheStatus())
	p.saw("POST: %d, Cache-Status: %s", post.status, post.cacheStatus())
	p.saw("GET:  %s, Cache-Status: %s", bytes.TrimSpace(after.body), after.cacheStatus())
	p.want(before.says("hit"), "it was kept before")
	p.want(post.status == 200 && post.says("fwd=method"), "POST goes to the origin")
	p.want(!after.says("hit") && bytes.Contains(after.body, []byte(note)), "the very next GET has the new note")
	return nil
}

func (t *tour) serverEvents(p *proof) error {
	_, secure := t.urls(tourHost)
	for _, c := range []*http.Client{t.clients.h1, t.clients.h2, t.clients.h3} {
		if err := t.firstEvent(p, c, secure); err != nil {
			return err
		}
	}
	return nil
}

func (t *tour) firstEvent(p *proof, c *http.Client, base string) error {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events", nil)
	if err != nil {
		return err
	}
	sent, began := t.site.events.Load(), time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("/events: %w", err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			p.saw("%s: %q after %d ms, the origin had sent %d, Cache-Status: %s", resp.Proto, strings.TrimSpace(data), time.Since(began).Milliseconds(), t.site.events.Load()-sent, resp.Header.Get("Cache-Status"))
			break
		}
	}
	// The second event comes a second after the first: whoever waited for more
	// to send would have waited for it.
	p.want(t.site.events.Load()-sent == 1, "the first event came before there was a second")
	p.want(!strings.Contains(resp.Header.Get("Cache-Status"), "stored"), "it is not stored")
	return nil
}

func (t *tour) webSocket(p *proof) error {
	clear, secure := t.urls(tourHost)
	for _, base := range []string{clear, secure} {
		config, err := websocket.NewConfig(strings.Replace(base, "http", "ws", 1)+"/ws", base)
		if err != nil {
			return err
		}
		network := t.clients.h1.Transport.(*http.Transport)
		raw, err := dialLoopback(p.ctx, "tcp", config.Location.Host)
		if err != nil {
			return err
		}
		defer raw.Close()
		if config.Location.Scheme == "wss" {
			if raw, err = startTLS(p.ctx, raw, network.TLSClientConfig); err != nil {
				return err
			}
		}
		if deadline, ok := p.ctx.Deadline(); ok {
			if err := raw.SetDeadline(deadline); err != nil {
				return err
			}
		}
		ws, err := websocket.NewClient(config, raw)
		if err != nil {
			return fmt.Errorf("%s/ws: %w", base, err)
		}
		messages := []string{"Is anybody there?", strings.Repeat("levee ", 8000), "über den Deich"}
		for _, m := range messages {
			var echo string
			if err := websocket.Message.Send(ws, m); err != nil {
				return err
			}
			if err := websocket.Message.Receive(ws, &echo); err != nil {
				return err
			}
			p.want(echo == m, "%d bytes came back as they were sent", len(m))
		}
		p.saw("%s: %d messages of %d, %d and %d bytes came back", config.Location, len(messages), len(messages[0]), len(messages[1]), len(messages[2]))
		if err := ws.Close(); err != nil {
			return err
		}
	}
	return nil
}

// settled reads the figures when all requests so far are counted: the edge
// counts one when it has ended, which its client may know a moment earlier.
func (t *tour) settled(p *proof) (figures, error) {
	for {
		a, err := t.figures(p.ctx)
		if err != nil {
			return a, err
		}
		select {
		case <-p.ctx.Done():
			return a, p.ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		b, err := t.figures(p.ctx)
		if err != nil || a.requests == b.requests && a.sent == b.sent {
			return b, err
		}
	}
}
