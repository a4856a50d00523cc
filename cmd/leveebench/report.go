package main

import (
	"fmt"
	"io"
	"slices"
)

// report is all that was measured.
type report struct {
	Rounds   int      `json:"rounds"`
	Seconds  float64  `json:"seconds"` // of a round
	Subjects []string `json:"subjects"`
	Results  []result `json:"results"`
}

// result is one subject under one load. Micros and PerSecond are the medians of
// the rounds, Low and High the extremes.
type result struct {
	Scenario  string   `json:"scenario"`
	What      string   `json:"what"`
	Subject   string   `json:"subject"`
	Micros    float64  `json:"cpu_us_per_request"`
	Low       float64  `json:"cpu_us_low"`
	High      float64  `json:"cpu_us_high"`
	PerSecond float64  `json:"requests_per_second"`
	Ratio     float64  `json:"ratio_to_nginx,omitempty"` // of Micros; 0 without nginx
	Rounds    []sample `json:"rounds"`
}

// sample is a round.
type sample struct {
	Micros    float64 `json:"cpu_us_per_request"`
	PerSecond float64 `json:"requests_per_second"`
	Requests  int64   `json:"requests"`
}

// sum fills in what follows from the rounds, of which there is one at least.
func (r *result) sum() {
	var micros, rates []float64
	for _, s := range r.Rounds {
		micros = append(micros, s.Micros)
		rates = append(rates, s.PerSecond)
	}
	r.Micros, r.PerSecond = median(micros), median(rates)
	r.Low, r.High = slices.Min(micros), slices.Max(micros)
}

// median is the middle one, or the mean of the two in the middle; 0 of none.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	switch n := len(v); {
	case n == 0:
		return 0
	case n%2 == 1:
		return v[n/2]
	default:
		return (v[n/2-1] + v[n/2]) / 2
	}
}

// markdown prints one table.
func (r *report) markdown(out io.Writer) error {
	text := fmt.Sprintf("CPU microseconds of the server per request, medians of %d rounds of %g s; ratio to nginx of the same run.\n\n", r.Rounds, r.Seconds) +
		"| load | subject | us | low–high | requests/s | ratio |\n|---|---|--:|--:|--:|--:|\n"
	for _, s := range r.Results {
		ratio := "–"
		if s.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", s.Ratio)
		}
		text += fmt.Sprintf("| %s | %s | %.1f | %.1f–%.1f | %.0f | %s |\n", s.What, s.Subject, s.Micros, s.Low, s.High, s.PerSecond, ratio)
	}
	_, err := io.WriteString(out, text)
	return err
}
