package origin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// BenchmarkRoundTrip sets the pool beside a bare http.Transport of the same settings: the difference is what the pool costs
// a miss.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 10} {
		payload := make([]byte, size)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(payload)))
			w.Write(payload)
		}))
		defer s.Close()
		o := Options{
			Members: []Member{{URL: mustURL(b, s.URL)}},
			Connect: 5 * time.Second, TLS: 5 * time.Second, FirstByte: 30 * time.Second, BetweenBytes: 30 * time.Second,
			MaxConnections: 512, Retries: 1,
		}
		pool, err := New(o)
		if err != nil {
			b.Fatal(err)
		}
		defer pool.Close()
		bare := newTransport(o, laneH1, mustTLS(b, o))
		bare.ResponseHeaderTimeout = o.FirstByte
		defer bare.CloseIdleConnections()
		buf := make([]byte, 64<<10)
		run := func(name string, rt http.RoundTripper) {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r, err := http.NewRequestWithContext(b.Context(), "GET", s.URL+"/a", nil)
					if err != nil {
						b.Fatal(err)
					}
					r.Header["User-Agent"] = []string{"bench"}
					resp, err := rt.RoundTrip(r)
					if err != nil {
						b.Fatal(err)
					}
					for {
						if _, err = resp.Body.Read(buf); err != nil {
							break
						}
					}
					if err != io.EOF {
						b.Fatal(err)
					}
					resp.Body.Close()
				}
			})
		}
		run("bare", bare)
		run("pool", pool)
	}
}

// BenchmarkReadBuffer reads a large body from a member that writes as fast as it can, with several sizes of the
// connection's read buffer.
func BenchmarkReadBuffer(b *testing.B) {
	const size = 8 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		chunk := make([]byte, 256<<10)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				head := make([]byte, 4096)
				for {
					if _, err := c.Read(head); err != nil {
						return
					}
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
					for range size / len(chunk) {
						c.Write(chunk)
					}
				}
			}()
		}
	}()
	for _, kib := range []int{4, 16, 32, 64} {
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) {
			t := newTransport(Options{}, laneH1, mustTLS(b, Options{}))
			t.ReadBufferSize = kib << 10
			defer t.CloseIdleConnections()
			b.SetBytes(size)
			buf := make([]byte, 64<<10)
			for b.Loop() {
				r, _ := http.NewRequest("GET", "http://"+l.Addr().String()+"/", nil)
				resp, err := t.RoundTrip(r)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Body.Read(buf)
				}
				resp.Body.Close()
			}
		})
	}
}
