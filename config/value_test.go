package config

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	f := func(in string, want Size, text string) {
		t.Helper()
		got, err := ParseSize(in)
		if err != nil || got != want || got.String() != text {
			t.Errorf("ParseSize(%q) = %d, %v, printed %s; want %d, %s", in, got, err, got, want, text)
		}
	}
	f("0", 0, "0")
	f("0MiB", 0, "0")
	f("1", 1, "1")
	f("512", 512, "512")
	f("512B", 512, "512")
	f("1023", 1023, "1023")
	f("1024", KiB, "1KiB")
	f("64KiB", 64*KiB, "64KiB")
	f("1536KiB", 1536*KiB, "1536KiB")
	f("1024MiB", GiB, "1GiB")
	f("100GiB", 100*GiB, "100GiB")
	f("7PiB", 7*PiB, "7PiB")
	f("9223372036854775807", math.MaxInt64, "9223372036854775807")
	f("007", 7, "7")

	bad := func(in string) {
		t.Helper()
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", in, got)
		}
	}
	for _, in := range []string{"", " ", "-1", "+1", "1.5GiB", "1KB", "1kb", "1K", "1 KiB", " 1", "1 ", "KiB", "1KiBB", "1e3", "0x10", "１", "9223372036854775808", "8192PiB", "9223372036854775807KiB", "1_000"} {
		bad(in)
	}
}

func TestParseDuration(t *testing.T) {
	f := func(in string, want time.Duration, text string) {
		t.Helper()
		got, err := ParseDuration(in)
		if err != nil || time.Duration(got) != want || got.String() != text {
			t.Errorf("ParseDuration(%q) = %d, %v, printed %s; want %d, %s", in, got, err, got, want, text)
		}
	}
	f("0", 0, "0s")
	f("0s", 0, "0s")
	f("0d", 0, "0s")
	f("30s", 30*time.Second, "30s")
	f("60s", time.Minute, "60s")
	f("90m", 90*time.Minute, "90m")
	f("24h", 24*time.Hour, "24h")
	f("1d", 24*time.Hour, "24h")
	f("7d", 7*24*time.Hour, "7d")
	f("1d12h", 36*time.Hour, "36h")
	f("1d1ns", 24*time.Hour+1, "24h0m0.000000001s")
	f("1.5s", 1500*time.Millisecond, "1500ms")
	f("1h2m3s", time.Hour+2*time.Minute+3*time.Second, "3723s")
	f("250us", 250*time.Microsecond, "250µs")
	f("106751d", 106751*24*time.Hour, "106751d")

	bad := func(in string) {
		t.Helper()
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("ParseDuration(%q) = %d, want an error", in, got)
		}
	}
	for _, in := range []string{"", " ", "-1s", "+1s", "10", "1.5", "d", "1.5d", "1d-1s", "1d+1s", "1h1d", "1dd", "1d1d", "-1d", "s", "1 s", "1w", "106752d", "99999999999d", "106751d24h", "2562048h", "forever", ".", "00"} {
		bad(in)
	}
}

// Text and back is the same value, for any value.
func TestValuesRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		n := r.Int64() >> r.IntN(63)
		switch r.IntN(3) { // whole units too
		case 0:
			n = n >> 20 << 20
		case 1:
			n -= n % int64(time.Minute)
		}
		v := struct {
			S Size
			D Duration
		}{Size(n), Duration(n)}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got := v
		got.S, got.D = -1, -1
		if err := json.Unmarshal(text, &got); err != nil || got != v {
			t.Fatalf("%d: %s reads back as %+v, %v", n, text, got, err)
		}
	}
	var v struct{ S Size }
	if err := json.Unmarshal([]byte(`{"S":"64MB"}`), &v); err == nil || !strings.Contains(err.Error(), `"64MB"`) {
		t.Errorf("Unmarshal of 64MB: %v, want an error that names it", err)
	}
	var w struct{ D Duration }
	if err := json.Unmarshal([]byte(`{"D":"soon"}`), &w); err == nil || !strings.Contains(err.Error(), `"soon"`) {
		t.Errorf("Unmarshal of soon: %v, want an error that names it", err)
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"0", "64MiB", "1B", "9223372036854775807", "-1", "1.5GiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if again, err := ParseSize(n.String()); n < 0 || err != nil || again != n {
			t.Errorf("%q is %d, printed %q, read back as %d, %v", s, n, n, again, err)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"0", "30s", "7d", "1d12h", "1.5h", "106751d23h", "-1s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err != nil {
			return
		}
		if again, err := ParseDuration(d.String()); d < 0 || err != nil || again != d {
			t.Errorf("%q is %d, printed %q, read back as %d, %v", s, d, d, again, err)
		}
	})
}
