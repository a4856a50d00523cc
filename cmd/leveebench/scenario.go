package main

// scenario is one load.
type scenario struct {
	Name    string
	What    string
	Size    int // bytes of each body
	Conns   int
	Streams int  // concurrent ones of a connection, by h2load; 0 = HTTP/1.1 by our own load
	TLS     bool // HTTP/2 always is
	Miss    bool // each request asks for a URL that was never asked for
}

// scenarios are all there are. It is not changed.
var scenarios = []scenario{
	{Name: "hit1k", What: "1 KiB hit, HTTP/1.1", Size: 1 << 10, Conns: 64},
	{Name: "hit1k-tls", What: "1 KiB hit, HTTP/1.1 over TLS 1.3", Size: 1 << 10, Conns: 64, TLS: true},
	{Name: "hit1k-h2", What: "1 KiB hit, HTTP/2, 32 connections of 10 streams", Size: 1 << 10, Conns: 32, Streams: 10, TLS: true},
	{Name: "hit1k-h2x1", What: "1 KiB hit, HTTP/2, 64 connections of 1 stream", Size: 1 << 10, Conns: 64, Streams: 1, TLS: true},
	{Name: "hit64k", What: "64 KiB hit, HTTP/1.1", Size: 64 << 10, Conns: 64},
	{Name: "hit1m-h2", What: "1 MiB hit, HTTP/2, 8 connections of 4 streams", Size: 1 << 20, Conns: 8, Streams: 4, TLS: true},
	{Name: "miss4k", What: "4 KiB miss: fetched, stored, sent, HTTP/1.1", Size: 4 << 10, Conns: 64, Miss: true},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.Name
	}
	return names
}
