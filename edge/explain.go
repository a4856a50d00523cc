package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"levee/edge/cachekey"
	"levee/edge/policy"
	"levee/purge/journal"
)

// Question is a request that Explain is asked about.
type Question struct {
	URL    string            `json:"url"`              // absolute, http or https
	Method string            `json:"method,omitempty"` // default GET
	Header map[string]string `json:"header,omitempty"`
}

// Explanation is the trail of a request as far as it is known without the
// origin: the same decisions that ServeHTTP makes, none of their effects.
type Explanation struct {
	URL     string   `json:"url"` // normalised, as it is matched, keyed and forwarded
	Site    string   `json:"site,omitempty"`
	Rules   []string `json:"rules"`             // one line for each rule: matched, or the condition that did not hold
	Outcome string   `json:"outcome"`           // what a request would become now: refused, redirected, pass, hit, stale, miss
	Reason  string   `json:"reason,omitempty"`  // why it passes, or why the last response could not be shared
	Pool    string   `json:"pool,omitempty"`    // the origin pool that would be asked
	Target  string   `json:"target,omitempty"`  // path and query as the origin would get them
	Key     string   `json:"key,omitempty"`     // the cache key, readable
	Vary    []string `json:"vary,omitempty"`    // what the stored responses of the key vary by
	Variant string   `json:"variant,omitempty"` // the variant that the request selects
	Stored  *Kept    `json:"stored,omitempty"`
	Lines   []string `json:"lines"` // the whole trail in words
}

// Kept is a stored response in an Explanation.
type Kept struct {
	Tier       string    `json:"tier"`
	Status     int       `json:"status"`
	Bytes      int64     `json:"bytes"`
	Age        string    `json:"age"`
	Lifetime   string    `json:"lifetime"`
	Source     string    `json:"source"` // what stated the lifetime
	FreshUntil time.Time `json:"fresh_until"`
	Use        string    `json:"use"` // fresh, or how it may be used stale
	ETag       string    `json:"etag,omitempty"`
	Purged     string    `json:"purged,omitempty"` // soft
}

// Explain says what the node would do with a request, and why. An error says
// what is wrong with the question.
func (h *Handler) Explain(q Question) (*Explanation, error) {
	u, err := url.Parse(q.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("url: %q is not an absolute http or https URL, such as https://www.example.com/", q.URL)
	}
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	r := &http.Request{Method: q.Method, Host: u.Host, URL: u, RequestURI: u.RequestURI(), Header: make(http.Header), ProtoMajor: 1, ProtoMinor: 1}
	for name, value := range q.Header {
		r.Header.Add(name, value)
	}
	x := &Exchange{h: h, r: r, w: &silent{}, state: h.state.Load(), arrived: time.Now(), mark: h.Journal.Now(), scheme: u.Scheme}
	e := &Explanation{}
	say := func(format string, args ...any) { e.Lines = append(e.Lines, fmt.Sprintf(format, args...)) }
	if !x.admit() {
		e.Outcome = Refused.String()
		say("refused: %d: %s", x.status, strings.TrimSpace(x.w.(*silent).text.String()))
		return e, nil
	}
	e.URL, e.Site = x.scheme+"://"+x.host+x.path+orEmpty("?", x.query), x.site.Name
	say("%s %s", q.Method, e.URL)
	say("site %s, by its host %s", e.Site, x.host)
	x.explainRules(e, say)
	if x.redirected() {
		e.Outcome = Redirected.String()
		say("redirected: %d to %s", x.status, x.w.Header().Get("Location"))
		return e, nil
	}
	e.Pool = "the site's origin"
	if x.actions.Origin != "" {
		e.Pool = x.actions.Origin
	}
	var to url.URL
	x.originURL(&to)
	e.Target = to.RequestURI()
	say("origin pool: %s, asked for %s", e.Pool, e.Target)
	if x.passes() {
		e.Outcome, e.Reason = Pass.String(), x.reason.String()
		say("passes the cache: %s", e.Reason)
		return e, nil
	}
	x.makeKey()
	e.Key = cachekey.Key(x.key.Bytes).String()
	say("key %s", e.Key)
	x.explainStored(e, say)
	return e, nil
}

func (x *Exchange) explainRules(e *Explanation, say func(string, ...any)) {
	for _, step := range x.site.rules.Trail(&x.facts) {
		line := step.Label + ": matched"
		if !step.Matched {
			line = step.Label + ": no, " + step.Why
		}
		e.Rules = append(e.Rules, line)
		say("%s", line)
	}
	t := x.actions.Terms
	if t.HasTTL {
		say("lifetime by rule: %v, %s", t.TTL, map[bool]string{true: "in place of what the origin states", false: "where the origin states none"}[t.ForceTTL])
	}
	if t.HasSWR {
		say("stale while it is revalidated: %v", t.SWR)
	}
	if t.HasSIE {
		say("stale if the origin fails: %v", t.SIE)
	}
}

func (x *Exchange) explainStored(e *Explanation, say func(string, ...any)) {
	now := time.Now()
	f := x.h.Store.Lookup(&x.key, x.r.Header, x.mark, now)
	e.Vary = f.Vary
	if len(f.Vary) > 0 {
		say("responses of this key vary by %s", strings.Join(f.Vary, ", "))
		e.Variant = fmt.Sprintf("%q", cachekey.AppendVariant(nil, f.Vary, x.r.Header, x.site.norm))
	}
	if f.Marker != policy.ReasonNone {
		e.Reason = f.Marker.String()
		say("the last response could not be shared: %s; until its marker ends requests do not wait for each other", e.Reason)
	}
	st := f.Stored
	if st == nil {
		e.Outcome = Miss.String()
		switch {
		case f.VaryMiss:
			say("not stored: other variants are, this one is not")
		case f.Purged:
			say("not stored: it was purged")
		default:
			say("not stored: nothing under this key")
		}
		return
	}
	use := usable(st, f.Verdict, now)
	k := &Kept{
		Tier: "ram", Status: st.Status, Bytes: st.Body.Size(), Age: st.Life.Age(now).Round(time.Millisecond).String(),
		Lifetime: st.Life.FreshFor.String(), Source: st.Life.Source.String(), FreshUntil: now.Add(st.Life.TTL(now)).UTC(), ETag: st.ETag,
	}
	switch {
	case use == fresh:
		e.Outcome, k.Use = Hit.String(), "fresh"
	case use == policy.WhileRevalidate:
		e.Outcome, k.Use = Stale.String(), use.String()
	default:
		e.Outcome, k.Use = Revalidated.String(), use.String()
	}
	if f.Verdict.Kind == journal.Soft {
		k.Purged = "soft"
		say("soft-purged at %s", f.Verdict.At.UTC().Format(time.RFC3339))
	}
	e.Stored = k
	say("stored in %s: %d, %d bytes, age %s, lifetime %s (%s), fresh until %s", k.Tier, k.Status, k.Bytes, k.Age, k.Lifetime, k.Source, k.FreshUntil.Format(time.RFC3339))
	say("use: %s", k.Use)
}

// silent takes an answer that nobody gets.
type silent struct {
	header http.Header
	text   strings.Builder
}

func (s *silent) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}
func (s *silent) WriteHeader(int) {}
func (s *silent) Write(p []byte) (int, error) {
	if s.text.Len() > 1<<10 {
		return 0, errors.New("too long")
	}
	return s.text.Write(p)
}
