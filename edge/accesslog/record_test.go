package accesslog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func full() *Record {
	return &Record{
		Time: time.Date(2026, 11, 3, 4, 5, 6, 78_999_999, time.FixedZone("", 3600)), ID: "01J", Site: "www",
		Client: netip.MustParseAddr("::ffff:192.0.2.1"), Method: "GET", Scheme: "https", Host: "www.example.com",
		Path: "/a b", Query: "x=1&y=\"", Proto: "HTTP/2.0", Status: 200, Outcome: "hit", Reason: "fresh", Bytes: 1234, OriginBytes: 99,
		OriginStatus: 304, Duration: 1_234_567 * time.Nanosecond, TTFB: 45 * time.Microsecond, Age: 61 * time.Second, TTL: -3 * time.Second,
		HasAge: true, HasTTL: true, TLS: "1.3", Referer: "https://a/", UserAgent: "curl/8", Error: "no",
	}
}

func TestLine(t *testing.T) {
	f := func(r *Record, want string) {
		t.Helper()
		if got := string(r.AppendJSON(nil)); got != want+"\n" {
			t.Errorf("got  %swant %s", got, want)
		}
	}
	f(full(), `{"time":"2026-11-03T03:05:06.078Z","id":"01J","site":"www","client":"192.0.2.1","method":"GET","scheme":"https",`+
		`"host":"www.example.com","path":"/a b","query":"x=1&y=\"","proto":"HTTP/2.0","status":200,"outcome":"hit","reason":"fresh",`+
		`"bytes":1234,"origin_bytes":99,"origin_status":304,"duration_ms":1.234,"ttfb_ms":0.045,"age_s":61,"ttl_s":-3,"tls":"1.3",`+
		`"referer":"https://a/","user_agent":"curl/8","error":"no"}`)
	f(&Record{}, `{"time":"0001-01-01T00:00:00.000Z","id":"","site":"","client":"","method":"","scheme":"","host":"","path":"",`+
		`"proto":"","status":0,"outcome":"","bytes":0,"duration_ms":0.000,"ttfb_ms":0.000}`)
	f(&Record{HasAge: true, HasTTL: true, Duration: -1, Client: netip.MustParseAddr("fe80::1%eth0"), Time: time.Unix(-1e12, 0)},
		`{"time":"0000-01-01T22:13:20.000Z","id":"","site":"","client":"fe80::1","method":"","scheme":"","host":"","path":"",`+
			`"proto":"","status":0,"outcome":"","bytes":0,"duration_ms":0.000,"ttfb_ms":0.000,"age_s":0,"ttl_s":0}`)
}

func TestString(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(appendString(nil, in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	f("", `""`)
	f("plain", `"plain"`)
	f(`"\`, `"\"\\"`)
	f("\n\r\t\x00\x1b\x7f", `"\n\r\t\u0000\u001b\u007f"`)
	f("é€😀", `"é€😀"`)
	f("a\xffb", `"a\ufffdb"`)
	f("\xe2\x82", `"\ufffd\ufffd"`)
	f("\xed\xa0\x80", `"\ufffd\ufffd\ufffd"`) // half of a surrogate pair
	f("\u0085\u009b\u2028\u2029\u00a0", "\"\\u0085\\u009b\\u2028\\u2029\u00a0\"")
	f("<&>", `"<&>"`)
	f(strings.Repeat("a", maxField), `"`+strings.Repeat("a", maxField)+`"`)
	f(strings.Repeat("a", maxField+1), `"`+strings.Repeat("a", maxField)+`…"`)
	f(strings.Repeat("a", maxField-1)+"é", `"`+strings.Repeat("a", maxField-1)+`…"`)
	f(strings.Repeat("a", maxField-2)+"é!", `"`+strings.Repeat("a", maxField-2)+`é…"`)
}

// FuzzString compares with encoding/json: both give a string that decodes to the same, valid UTF-8 on one line.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n", "\x00\x7f\x80\xff", "é€😀", "\u0085\u2028", "\xed\xa0\x80", "\xf0\x9f\x98"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxField {
			s = s[:maxField]
		}
		got := appendString(nil, s)
		if !utf8.Valid(got) {
			t.Fatalf("%q: %q is not UTF-8", s, got)
		}
		for _, c := range string(got) {
			if c < 0x20 || c >= 0x7f && c <= 0x9f || c == 0x2028 || c == 0x2029 {
				t.Fatalf("%q: %q holds the control character %U", s, got, c)
			}
		}
		theirs, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var a, b string
		if err := json.Unmarshal(got, &a); err != nil {
			t.Fatalf("%q: %q: %v", s, got, err)
		}
		if err := json.Unmarshal(theirs, &b); err != nil {
			t.Fatal(err)
		}
		if a != b {
			t.Errorf("%q decodes to %q, encoding/json's to %q", s, a, b)
		}
	})
}

// FuzzRecord: whatever the fields hold, a line is one line of valid JSON whose numbers and texts come back.
func FuzzRecord(f *testing.F) {
	f.Add("/", "GET", "curl", int64(0), 200, int64(1))
	f.Add("\"\n\xff", "\x00", "\u2028", int64(-1), -5, int64(1<<62))
	f.Add(strings.Repeat("é", 9000), "}", "{", int64(1<<62), 0, int64(-1<<62))
	f.Fuzz(func(t *testing.T, path, method, agent string, bytesOut int64, status int, nanos int64) {
		r := full()
		r.Path, r.Method, r.UserAgent, r.Bytes, r.Status = path, method, agent, bytesOut, status
		r.Duration, r.TTFB, r.Age, r.TTL = time.Duration(nanos), time.Duration(nanos), time.Duration(nanos), time.Duration(nanos)
		r.Time = time.Unix(nanos/1000, nanos%1000)
		line := r.AppendJSON(nil)
		if bytes.Count(line, []byte{'\n'}) != 1 || line[len(line)-1] != '\n' || !utf8.Valid(line) {
			t.Fatalf("not one line of UTF-8: %q", line)
		}
		var got struct {
			Time     time.Time `json:"time"`
			Bytes    int64     `json:"bytes"`
			Status   int       `json:"status"`
			Duration float64   `json:"duration_ms"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got.Bytes != bytesOut || got.Status != status || got.Duration < 0 {
			t.Errorf("came back as %+v", got)
		}
		if y := r.Time.UTC().Year(); y >= 0 && y <= 9999 && !got.Time.Equal(r.Time.Truncate(time.Millisecond)) {
			t.Errorf("time %v came back as %v", r.Time, got.Time)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	r := full()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendJSON(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
