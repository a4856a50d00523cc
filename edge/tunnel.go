package edge

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"levee/edge/policy"
)

// upgrading reports a request to change the protocol of its connection
// (RFC 9110 §7.8), such as to WebSocket. To another version of HTTP it would be
// a way around every check of this edge: such an Upgrade is not passed on, and
// the request is answered like any other.
func (x *Exchange) upgrading() bool {
	r := x.r
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 || len(r.Header["Upgrade"]) != 1 || !hasToken(r.Header["Connection"], "upgrade") {
		return false
	}
	protocol := strings.ToLower(r.Header["Upgrade"][0])
	return protocol != "" && !strings.HasPrefix(protocol, "h2") && !strings.HasPrefix(protocol, "http") && !strings.ContainsAny(protocol, ", ")
}

// hasToken reports whether a list field has a member, without regard to case.
func hasToken(lines []string, token string) bool {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(member), token) {
				return true
			}
		}
	}
	return false
}

// tunnel passes an upgraded connection through: bytes both ways until one side
// closes. An origin that does not upgrade is answered like any other.
func (x *Exchange) tunnel() {
	x.outcome, x.reason, x.fwd = Tunnel, policy.ReasonUpgrade, policy.FwdBypass
	header := x.forwardHeader()
	protocol := x.r.Header["Upgrade"][0]
	header["Connection"] = []string{"Upgrade"}
	header["Upgrade"] = []string{protocol}
	sent := x.upload()
	defer sent.finish()
	req := x.originRequest(x.r.Context(), x.r.Method, header, sent.reader())
	req.ContentLength = x.r.ContentLength
	resp, err := x.pool().RoundTrip(req)
	if err != nil {
		x.refusedUpload(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		x.outcome = Pass
		x.answer(resp)
		return
	}
	there, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(resp.Header.Get("Upgrade"), protocol) {
		x.outcome = Failed
		x.badGateway(fmt.Errorf("the origin upgraded to %q, %q was asked for", resp.Header.Get("Upgrade"), protocol))
		return
	}
	x.originStatus = resp.StatusCode
	policy.HopByHop(resp.Header)
	h := x.w.Header()
	for name, values := range resp.Header {
		h[name] = values
	}
	h["Connection"] = []string{"Upgrade"}
	h["Upgrade"] = []string{protocol}
	if x.conn != nil && x.conn.gate != nil {
		x.conn.gate.Opaque()
	}
	x.head(http.StatusSwitchingProtocols, -1)
	here, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.cut(err)
	}
	defer here.Close()

	var once sync.Once
	stop := func() { once.Do(func() { here.Close(); there.Close() }) }
	defer stop()
	var up sync.WaitGroup
	up.Go(func() {
		defer stop()
		if n := buffered.Reader.Buffered(); n > 0 { // sent before our 101
			early, _ := buffered.Peek(n)
			if _, err := there.Write(early); err != nil {
				return
			}
		}
		_, _ = io.Copy(there, here)
	})
	n, _ := io.Copy(here, there)
	stop()
	up.Wait()
	x.sent += n
	x.originBytes += n
}
