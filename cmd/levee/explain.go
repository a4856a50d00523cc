package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// adminFlags is how a subcommand reaches a running node.
type adminFlags struct {
	Admin     string `default:"127.0.0.1:9180" placeholder:"ADDR" help:"The node's admin listener."`
	TokenFile string `placeholder:"FILE" help:"Bearer token, for an admin listener off loopback."`
	CA        string `name:"ca" placeholder:"FILE" help:"Root certificate to verify it by (see levee trust)."`
}

type explainCmd struct {
	adminFlags
	URL    string   `arg:"" help:"The URL, such as https://www.example.com/page."`
	Method string   `short:"X" default:"GET" help:"The request's method."`
	Header []string `short:"H" placeholder:"'Name: value'" help:"A field of the request; may be given more than once."`
	JSON   bool     `name:"json" help:"Print the whole answer as JSON."`
}

func (c explainCmd) Run(s *std) error {
	header := map[string]string{}
	for _, line := range c.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return usageError(fmt.Sprintf("-H %q: write 'Name: value'", line))
		}
		header[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	answer, err := c.call("POST", "/v1/explain", map[string]any{"url": c.URL, "method": c.Method, "header": header})
	if err != nil {
		return err
	}
	if c.JSON {
		_, err = s.out.Write(answer)
		return err
	}
	var e struct {
		Lines   []string `json:"lines"`
		Outcome string   `json:"outcome"`
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		return fmt.Errorf("the node's answer: %w", err)
	}
	for _, line := range e.Lines {
		fmt.Fprintln(s.out, line)
	}
	fmt.Fprintln(s.out, "outcome:", e.Outcome)
	return nil
}

// call asks the admin API and returns the body of a 2xx answer.
func (f adminFlags) call(method, path string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(f.Admin)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--admin %s: write HOST:PORT", f.Admin))
	}
	scheme := "https"
	if ip := net.ParseIP(host); f.CA == "" && (host == "localhost" || ip != nil && ip.IsLoopback()) {
		scheme = "http"
	}
	req, err := http.NewRequest(method, scheme+"://"+f.Admin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if f.TokenFile != "" {
		b, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return nil, err
		}
		token, _, _ := strings.Cut(string(b), "\n")
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	}
	client := &http.Client{Timeout: 30 * time.Second}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca %s: no certificate in it", f.CA)
		}
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, hinted{err, "is a node running, with its admin listener at " + f.Admin + "?"}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		var e struct{ Error, Field string }
		if json.Unmarshal(answer, &e) == nil && e.Error != "" {
			return nil, errors.New(strings.TrimPrefix(e.Field+": "+e.Error, ": "))
		}
		return nil, fmt.Errorf("the node answered %s", resp.Status)
	}
	return answer, nil
}
