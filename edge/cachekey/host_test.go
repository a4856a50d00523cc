package cachekey

import (
	"strings"
	"testing"
)

func TestHost(t *testing.T) {
	f := func(raw, want string) {
		t.Helper()
		got, ok := Host(raw)
		if !ok {
			t.Errorf("Host(%q) refused, want %q", raw, want)
		} else if got != want {
			t.Errorf("Host(%q) = %q, want %q", raw, got, want)
		}
	}
	f("example.com", "example.com")
	f("WWW.Example.COM", "www.example.com")
	f("example.com:8080", "example.com")
	f("example.com:", "example.com")
	f("example.com.", "example.com")
	f("example.com.:443", "example.com")
	f("localhost", "localhost")
	f("xn--bcher-kva.example", "xn--bcher-kva.example")
	f("my_host-1.example", "my_host-1.example")
	f("192.0.2.1:80", "192.0.2.1")
	f("[::1]", "[::1]")
	f("[2001:DB8:0::1]:443", "[2001:db8::1]")
	f("[::FFFF:192.0.2.1]", "[::ffff:192.0.2.1]")
	f(strings.Repeat("a", 63)+".b", strings.Repeat("a", 63)+".b")
}

func TestHostRefused(t *testing.T) {
	f := func(raw string) {
		t.Helper()
		if got, ok := Host(raw); ok {
			t.Errorf("Host(%q) = %q, want it refused", raw, got)
		}
	}
	f("")
	f(".")
	f(".example.com")
	f("example..com")
	f("example.com..")
	f(":80")
	f("evil:80@example.com")
	f("user@example.com")
	f("example.com:80:80")
	f("example.com:evil")
	f("example.com:65536")
	f("example.com:-1")
	f("example.com/path")
	f("example.com?q")
	f("example.com#f")
	f("example .com")
	f(" example.com")
	f("example.com\t")
	f("example.com\x00")
	f("example.com\r\nX: y")
	f("bücher.example")
	f("a,b")
	f("a%2eb")
	f("[::1")
	f("[::1]x")
	f("[::1]:x")
	f("[fe80::1%eth0]")
	f("[192.0.2.1]")
	f("::1")
	f("127.1")
	f("0x7f.0.0.1.0x1")
	f("192.0.2.01")
	f("192.0.2.256")
	f("1")
	f(strings.Repeat("a", 64) + ".b")
	f(strings.Repeat("a.", 127) + "a")
	f(strings.Repeat("ab.", 85))
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"example.com:80", "[::1]:443", "A.b.", "127.1", "evil:80@x", "xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		host, ok := Host(raw)
		if !ok {
			return
		}
		if again, ok := Host(host); !ok || again != host {
			t.Fatalf("Host(%q) = %q, but Host of that is %q, %v", raw, host, again, ok)
		}
		if withPort, ok := Host(host + ":80"); !ok || withPort != host {
			t.Fatalf("Host(%q) = %q, %v, want %q", host+":80", withPort, ok, host)
		}
		if strings.ContainsAny(host, "/@?# \t\r\n\x00,%\\") || strings.ToLower(host) != host {
			t.Fatalf("Host(%q) = %q lets something through", raw, host)
		}
	})
}
