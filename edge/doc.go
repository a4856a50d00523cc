// Package edge is the edge node: listeners, the sites, and the life of a
// request.
//
//	accept ─► Server: limits, TLS, one connection at a time to net/http or quic-go
//	             │
//	             ▼
//	Handler: admit ─► site by host ─► rules ─► redirect? ─► upgrade? ─► pass? ─► cache key
//	                     │                                                         │
//	                     ▼ refused                                                 ▼
//	                  error page          fresh: serve ◄──────────────────────── lookup
//	                                      stale, allowed: serve, validate behind ◄─┤
//	                                                                               ▼ miss
//	                             origin ◄── fetch ◄── begin a flight ◄── or join one ─► read it while it grows
//	                                          │
//	                                          └─► policy decides ─► store
//	                                                  every way ends ─► access log, metrics
//
// One [Exchange] carries the facts of a request through this. What became of it
// is one closed [Outcome], and why it was not stored one closed policy.Reason;
// the log, the metrics, Cache-Status and `levee explain` print these.
package edge
