package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// figures are what the live table is made of, counted since the start.
type figures struct {
	at       time.Time
	requests float64
	hits     float64 // from the cache, fresh, stale or validated
	origin   float64 // requests that the origin got
	sent     float64 // bytes of bodies to clients
	fetched  float64 // bytes of bodies from the origin
}

// figures reads the edge's metrics from its admin listener, as Prometheus does,
// and the origin's own count.
func (d *demo) figures(ctx context.Context) (figures, error) {
	f := figures{at: time.Now(), origin: float64(d.site.Total())}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.adminAddr()+"/metrics", nil)
	if err != nil {
		return f, err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	return f, f.read(resp.Body)
}

// read takes the counters out of a Prometheus text.
func (f *figures) read(text io.Reader) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, m := range families["levee_requests_total"].GetMetric() {
		n := m.GetCounter().GetValue()
		f.requests += n
		for _, l := range m.GetLabel() {
			switch {
			case l.GetName() != "outcome":
			case l.GetValue() == "hit", l.GetValue() == "stale", l.GetValue() == "revalidated":
				f.hits += n
			}
		}
	}
	for _, m := range families["levee_sent_bytes_total"].GetMetric() {
		f.sent += m.GetCounter().GetValue()
	}
	for _, m := range families["levee_fetched_bytes_total"].GetMetric() {
		f.fetched += m.GetCounter().GetValue()
	}
	return nil
}

const (
	tableHead = "  requests    req/s   hits  origin/s   to clients  from origin\n"
	tableSlow = 10 // seconds between two lines where nothing can be redrawn
)

// row is a line of the table: totals and hit ratio since the start, rates since
// last.
func (f figures) row(last figures) string {
	rate := func(now, before float64) float64 {
		seconds := f.at.Sub(last.at).Seconds()
		if seconds <= 0 {
			return 0
		}
		return (now - before) / seconds
	}
	hits := "–"
	if f.requests > 0 {
		hits = fmt.Sprintf("%.1f%%", 100*f.hits/f.requests)
	}
	return fmt.Sprintf("%10.0f %8.1f %6s %9.1f %12s %12s\n",
		f.requests, rate(f.requests, last.requests), hits, rate(f.origin, last.origin), bytesText(f.sent), bytesText(f.fetched))
}

// bytesText is a number of bytes for people, in decimal units.
func bytesText(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for n >= 999.95 && i < len(units)-1 {
		n /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// watch shows the table until the demo is to end: redrawn in place once a
// second on a terminal, else a line every tableSlow seconds.
func (d *demo) watch(s *std) error {
	every, redraw := tableSlow*time.Second, false
	if f, ok := s.out.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			every, redraw = time.Second, true
		}
	}
	last, err := d.figures(s.ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(s.out, tableHead+last.row(last)); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			_, err := io.WriteString(s.out, "Ending.\n")
			return err
		case <-tick.C:
		}
		now, err := d.figures(s.ctx)
		if s.ctx.Err() != nil {
			continue
		}
		if err != nil {
			return err
		}
		line := now.row(last)
		if redraw {
			line = "\x1b[1A\x1b[2K" + strings.TrimSuffix(line, "\n") + "\n" // up one line, clear it
		}
		if _, err := io.WriteString(s.out, line); err != nil {
			return err
		}
		last = now
	}
}
