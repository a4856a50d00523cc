package origin

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// FuzzResponse answers a request with arbitrary bytes and a close. Whatever they are, the exchange ends, as a response that
// HTTP allows or as an error of the origin's with a Kind.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.0 200 OK\r\n\r\nall of it",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 999 \r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "ICY 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n a: b\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	answers := make(chan []byte, 1)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			head := make([]byte, 4096)
			if _, err := c.Read(head); err == nil {
				c.Write(<-answers)
			}
			c.(*net.TCPConn).CloseWrite()
			c.SetReadDeadline(time.Now().Add(time.Second))
			io.Copy(io.Discard, c) // until the pool hangs up: a reset could overtake the answer
			c.Close()
		}
	}()
	pool := newPool(f, nil, "http://"+l.Addr().String())
	f.Fuzz(func(t *testing.T, answer []byte) {
		answers <- answer
		r := get(t, "/")
		r.Close = true // each answer has its own connection
		resp, err := pool.RoundTrip(r)
		if err == nil {
			if resp.StatusCode < 200 || resp.StatusCode > 599 {
				t.Errorf("status %d was passed on", resp.StatusCode)
			}
			if resp.StatusCode == http.StatusSwitchingProtocols {
				t.Error("unasked 101 was passed on")
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err != nil && kindOf(err) == kinds {
			t.Errorf("error without a Kind: %v", err)
		}
		if kindOf(err) == ResponseTimeout {
			t.Errorf("hung: %v", err)
		}
	})
}
