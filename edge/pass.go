package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"levee/edge/policy"
	"levee/purge/journal"
)

// pass sends the request to the origin for this client alone and streams the
// answer, storing nothing: other methods than GET and HEAD, requests that a
// rule takes past the cache, request bodies.
func (x *Exchange) pass() {
	if x.outcome != Collapsed {
		x.outcome = Pass
	}
	header := x.forwardHeader()
	if slices.Contains(x.r.Header["Te"], "trailers") {
		header["Te"] = []string{"trailers"} // hop by hop, and said anew: gRPC insists on it
	}
	up := x.upload()
	defer up.finish()
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	req := x.originRequest(x.interim(ctx), x.r.Method, header, up.reader())
	req.ContentLength = x.r.ContentLength
	req.Trailer = up.announced()
	resp, err := x.pool().RoundTrip(req)
	if err != nil {
		x.refusedUpload(err)
		return
	}
	defer resp.Body.Close()
	x.answer(resp)
}

// answer streams a response of the origin to the client.
func (x *Exchange) answer(resp *http.Response) {
	x.originStatus = resp.StatusCode
	if policy.InvalidatesOn(x.r.Method, resp.StatusCode) {
		x.invalidate(resp.Header)
	}

	policy.HopByHop(resp.Header)
	h := x.w.Header()
	h["Content-Type"] = nil // where the origin states none, net/http must not guess one
	for name, values := range resp.Header {
		h[name] = values
	}
	length := resp.ContentLength
	delete(h, "Content-Length")
	if x.r.Method == http.MethodHead && len(resp.Header["Content-Length"]) > 0 {
		h["Content-Length"] = resp.Header["Content-Length"]
		length = -1
	}
	trailers := announced(resp.Trailer)
	if len(trailers) > 0 {
		h["Trailer"] = []string{strings.Join(trailers, ", ")}
		length = -1 // HTTP/1.1 has trailers only behind chunks
	}
	x.head(resp.StatusCode, length)
	if x.r.Method != http.MethodHead && bodyAllowed(resp.StatusCode) {
		x.stream(resp.Body, length)
	}
	for name, values := range resp.Trailer {
		if len(trailers) == 0 || !slices.Contains(trailers, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

func announced(t http.Header) []string {
	names := make([]string, 0, len(t))
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// interim has the origin's 103 sent on to the client (RFC 8297). Others stay on
// their connection.
func (x *Exchange) interim(ctx context.Context) context.Context {
	if x.r.ProtoMajor == 1 && x.r.ProtoMinor == 0 {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if code != http.StatusEarlyHints {
				return nil
			}
			h := x.w.Header()
			for name, values := range header {
				h[name] = values
			}
			x.w.WriteHeader(code)
			clear(h) // they belong to the 103 alone
			return nil
		},
	})
}

// streamBuffers are what answers that are not kept go through.
var streamBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// stream copies a body from the origin to the client, each piece as it comes.
// length is the announced one or -1: with a length the pieces may wait for each
// other.
func (x *Exchange) stream(body io.Reader, length int64) {
	buf := streamBuffers.Get().(*[32 << 10]byte)
	defer streamBuffers.Put(buf)
	first := x.originBytes
	for {
		x.pace.pause(x)
		waiting := time.Now()
		n, err := body.Read(buf[:])
		x.pace.idle += time.Since(waiting)
		x.originBytes += int64(n)
		if n > 0 {
			x.write(buf[:n])
			if length < 0 || n < len(buf) && x.originBytes-first < length {
				x.flush()
			}
		}
		switch {
		case err == io.EOF:
			x.pace.deadline(x, 0) // for what the server still buffers
			return
		case err != nil && clientGone(x.r.Context(), err):
			x.gone(err)
		case err != nil:
			x.cut(fmt.Errorf("the origin's body: %w", err))
		}
	}
}

// refusedUpload answers for a request that could not be sent: the client's
// fault, where its body was too large or too slow, else the origin's.
func (x *Exchange) refusedUpload(err error) {
	x.err = err
	var tooLarge errTooLarge
	var tooSlow errTooSlow
	switch {
	case errors.As(err, &tooSlow):
		x.refuse(http.StatusRequestTimeout, fmt.Sprintf("the request's body came slower than the limit of %d bytes a second", x.state.limits.BodyRate))
	case errors.As(err, &tooLarge):
		x.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request's body is larger than the limit of %d bytes", x.state.limits.BodyBytes))
	case clientGone(x.r.Context(), err):
		x.gone(err)
	default:
		x.outcome = Failed
		x.badGateway(err)
	}
}

// invalidate makes what is stored for the request's URL unusable, and for those
// that the answer names on the same host (RFC 9111 §4.4).
func (x *Exchange) invalidate(h http.Header) {
	recs := []journal.Record{{By: journal.ByKey, Hash: urlHash(x.host+x.path, x.query), At: time.Now()}}
	for _, name := range [...]string{"Location", "Content-Location"} {
		if hash, ok := x.sameHost(h.Get(name)); ok && hash != recs[0].Hash {
			recs = append(recs, journal.Record{By: journal.ByKey, Hash: hash, At: time.Now()})
		}
	}
	x.h.Journal.Add(recs...)
}
