package rule

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"levee/edge/cachekey"
)

func mustCompile(t *testing.T, specs ...Spec) *Set {
	t.Helper()
	set, err := Compile(specs)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func ptr[T any](v T) *T { return &v }

func request() *Facts {
	return &Facts{
		Method: "GET", Host: "www.example.com", Path: "/api/v1", Query: "a=1&b=x%20y&c",
		Header: http.Header{"X-Env": {"prod", "blue"}, "Cookie": {"sid=42; theme=dark"}},
	}
}

func TestMatch(t *testing.T) {
	f := func(m MatchSpec, want bool) {
		t.Helper()
		steps := mustCompile(t, Spec{Match: m}).Trail(request())
		if steps[0].Matched != want || (steps[0].Why == "") != want {
			t.Errorf("%+v: %+v", m, steps[0])
		}
	}
	f(MatchSpec{}, true)
	f(MatchSpec{Paths: []string{"/api/*"}}, true)
	f(MatchSpec{Paths: []string{"/x", "*"}}, true)
	f(MatchSpec{Paths: []string{"/API/*"}}, false)
	f(MatchSpec{Methods: []string{"GET", "HEAD"}}, true)
	f(MatchSpec{Methods: []string{"POST"}}, false)
	f(MatchSpec{Hosts: []string{"*.EXAMPLE.com"}}, true)
	f(MatchSpec{Hosts: []string{"example.com"}}, false)
	h := func(name string, absent bool, values ...string) []FieldMatch {
		return []FieldMatch{{Name: name, Absent: absent, Values: values}}
	}
	f(MatchSpec{Headers: h("x-env", false)}, true)
	f(MatchSpec{Headers: h("x-env", false, "blue")}, true)
	f(MatchSpec{Headers: h("x-env", false, "b?ue", "x")}, true)
	f(MatchSpec{Headers: h("x-env", false, "Blue")}, false)
	f(MatchSpec{Headers: h("x-env", true)}, false)
	f(MatchSpec{Headers: h("x-none", true)}, true)
	f(MatchSpec{Headers: h("x-none", false)}, false)
	f(MatchSpec{Headers: h("x-none", false, "*")}, false)
	f(MatchSpec{Cookies: h("sid", false)}, true)
	f(MatchSpec{Cookies: h("sid", false, "4*")}, true)
	f(MatchSpec{Cookies: h("SID", false)}, false)
	f(MatchSpec{Cookies: h("sid", true)}, false)
	f(MatchSpec{Cookies: h("none", true)}, true)
	f(MatchSpec{Query: h("b", false, "x y")}, true)
	f(MatchSpec{Query: h("c", false, "")}, true)
	f(MatchSpec{Query: h("c", true)}, false)
	f(MatchSpec{Query: h("d", false)}, false)
	f(MatchSpec{Paths: []string{"/api/*"}, Methods: []string{"GET"}, Cookies: h("none", false)}, false)
}

func TestTrail(t *testing.T) {
	set := mustCompile(t,
		Spec{Label: "levee.yaml:7", Match: MatchSpec{Paths: []string{"/a", "/b/*"}}},
		Spec{},
		Spec{Match: MatchSpec{Cookies: []FieldMatch{{Name: "sid", Values: []string{"x"}}}}},
		Spec{Match: MatchSpec{Cookies: []FieldMatch{{Name: "sid", Absent: true}}}},
		Spec{Match: MatchSpec{Headers: []FieldMatch{{Name: "x-a"}}}},
	)
	want := []Step{
		{0, "levee.yaml:7", false, `path "/api/v1" is not /a or /b/*`},
		{1, "rule 2", true, ""},
		{2, "rule 3", false, "no cookie sid is x"},
		{3, "rule 4", false, "there is a cookie sid"},
		{4, "rule 5", false, "there is no header field X-A"},
	}
	if got := set.Trail(request()); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if set.Len() != 5 {
		t.Error(set.Len())
	}
}

func TestEvalLaterWins(t *testing.T) {
	set := mustCompile(t,
		Spec{
			TTL: &TTL{For: time.Hour, Force: true}, StaleWhileRevalidate: ptr(time.Second), StaleIfError: ptr(time.Minute),
			Bypass: ptr(true), StoreSetCookie: ptr(true), StoreAuthorization: ptr(true), StoreStatuses: []int{400},
			Query: &cachekey.Query{Sort: true}, KeyHeaders: []string{"x-b", "X-A", "x-a"}, KeyCookies: []string{"b", "a"},
			Origin: "one", Rewrite: &Rewrite{StripPrefix: "/api"}, Redirect: &Redirect{To: "/x"},
			Response: []HeaderOp{{OpSet, "x-a", "1"}},
		},
		Spec{Match: MatchSpec{Paths: []string{"/other"}}, TTL: &TTL{For: 9}, Origin: "never", Response: []HeaderOp{{OpSet, "X-A", "never"}}},
		Spec{TTL: &TTL{For: time.Minute}, Origin: "two", Response: []HeaderOp{{OpAdd, "x-a", "2"}}},
	)
	var a Actions
	a.Terms.SWR, a.Terms.HasSWR = time.Hour, true // a default of the site
	set.Eval(request(), &a)
	tm := a.Terms
	if tm.TTL != time.Minute || !tm.HasTTL || tm.ForceTTL || tm.SWR != time.Second || tm.SIE != time.Minute || !tm.HasSIE ||
		!tm.StoreSetCookie || !tm.StoreAuthorization || !slices.Equal(tm.StoreStatuses, []int{400}) {
		t.Errorf("terms %+v", tm)
	}
	if !a.Bypass || !a.Query.Sort || a.Origin != "two" || a.Rewrite.StripPrefix != "/api" || a.Redirect.Status != 302 ||
		strings.Join(a.KeyHeaders, " ") != "X-A X-B" || strings.Join(a.KeyCookies, " ") != "a b" || a.Branch != 0 {
		t.Errorf("actions %+v", a)
	}
	h := http.Header{"X-A": {"0"}}
	a.Response.Apply(h)
	if !slices.Equal(h["X-A"], []string{"1", "2"}) || a.Response.Len() != 2 || a.Request.Len() != 0 {
		t.Errorf("header %v", h)
	}

	// A later rule takes back what an earlier one said.
	set = mustCompile(t,
		Spec{Bypass: ptr(true), KeyHeaders: []string{"x"}, KeyCookies: []string{"x"}, StoreStatuses: []int{400}},
		Spec{Bypass: ptr(false), KeyHeaders: []string{}, KeyCookies: []string{}, StoreStatuses: []int{}})
	a = Actions{}
	set.Eval(request(), &a)
	if a.Bypass || len(a.KeyHeaders)+len(a.KeyCookies)+len(a.Terms.StoreStatuses) != 0 {
		t.Errorf("not taken back: %+v", a)
	}
}

func TestOps(t *testing.T) {
	var specs []Spec
	for _, v := range []string{"1", "2", "3", "4", "5", "6"} { // more rules than fit without allocating
		specs = append(specs, Spec{Request: []HeaderOp{{OpAdd, "X-N", v}}})
	}
	specs = append(specs, Spec{Request: []HeaderOp{{Op: OpRemove, Name: "x-gone"}, {OpSet, "X-Set", "s"}}})
	set := mustCompile(t, specs...)
	stored := []string{"0", "hidden"}[:1]
	for range 2 { // the second time: nothing shared has been changed
		var a Actions
		set.Eval(request(), &a)
		h := http.Header{"X-N": stored, "X-Gone": {"x"}, "X-Set": {"a", "b"}}
		a.Request.Apply(h)
		want := http.Header{"X-N": {"0", "1", "2", "3", "4", "5", "6"}, "X-Set": {"s"}}
		if !reflect.DeepEqual(h, want) || a.Request.Len() != 8 {
			t.Errorf("%v, %d operations", h, a.Request.Len())
		}
		h.Add("X-Set", "more")
	}
	if stored[:2][1] != "hidden" {
		t.Error("adding wrote into a shared line array")
	}
}

func TestBranch(t *testing.T) {
	set := mustCompile(t,
		Spec{Match: MatchSpec{Headers: []FieldMatch{{Name: "X-Canary"}}}, Origin: "canary"},
		Spec{Match: MatchSpec{Cookies: []FieldMatch{{Name: "beta"}}}, Rewrite: &Rewrite{AddPrefix: "/beta"}},
		Spec{Match: MatchSpec{Query: []FieldMatch{{Name: "p"}}}, Request: []HeaderOp{{OpSet, "X-P", "1"}}},
		Spec{Match: MatchSpec{Headers: []FieldMatch{{Name: "X-Slow"}}}, TTL: &TTL{For: time.Hour}},
		Spec{Match: MatchSpec{Methods: []string{"GET"}, Paths: []string{"/*"}}, Origin: "other"},
	)
	seen := map[uint64]string{}
	for _, canary := range []string{"", "X-Canary"} {
		for _, cookie := range []string{"", "beta=1"} {
			for _, query := range []string{"", "p"} {
				f := &Facts{Method: "GET", Path: "/", Query: query, Header: http.Header{"X-Slow": {"1"}, "Cookie": {cookie}}}
				if canary != "" {
					f.Header[canary] = []string{"1"}
				}
				var a, again Actions
				set.Eval(f, &a)
				set.Eval(f, &again)
				way := canary + cookie + query
				if (a.Branch == 0) != (way == "") || a.Branch != again.Branch {
					t.Errorf("%q: branch %x", way, a.Branch)
				}
				if other, dup := seen[a.Branch]; dup {
					t.Errorf("%q and %q are one branch", way, other)
				}
				seen[a.Branch] = way
			}
		}
	}
}

func TestEvalAllocs(t *testing.T) {
	set := mustCompile(t,
		Spec{Match: MatchSpec{Paths: []string{"/api/*"}}, TTL: &TTL{For: time.Second}, Response: []HeaderOp{{OpSet, "X-A", "1"}}},
		Spec{Match: MatchSpec{Cookies: []FieldMatch{{Name: "sid", Values: []string{"4*"}}}}, KeyCookies: []string{"sid"}},
		Spec{Match: MatchSpec{Query: []FieldMatch{{Name: "a"}}}, Response: []HeaderOp{{OpSet, "X-B", "1"}}},
		Spec{Match: MatchSpec{Headers: []FieldMatch{{Name: "X-Env", Values: []string{"b*"}}}}, Bypass: ptr(true)},
	)
	f := request()
	h := http.Header{"X-A": nil, "X-B": nil}
	var a Actions
	if n := testing.AllocsPerRun(100, func() {
		a = Actions{}
		set.Eval(f, &a)
		a.Response.Apply(h)
	}); n != 0 || !a.Bypass || a.Response.Len() != 2 {
		t.Errorf("%v allocations, want 0; %+v", n, a)
	}
}

func BenchmarkEval(b *testing.B) {
	set, err := Compile([]Spec{
		{Match: MatchSpec{Paths: []string{"/api/*"}}, TTL: &TTL{For: time.Second}},
		{Match: MatchSpec{Paths: []string{"/static/*"}, Methods: []string{"GET", "HEAD"}}, TTL: &TTL{For: time.Hour}},
		{Match: MatchSpec{Paths: []string{"/account/*"}}, Bypass: ptr(true)},
	})
	if err != nil {
		b.Fatal(err)
	}
	f := request()
	b.ReportAllocs()
	for b.Loop() {
		var a Actions
		set.Eval(f, &a)
	}
}
