package config

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// format is the shape of a text.
type format struct {
	what    string             // what to write, as in "write …"
	example string             // a text that has the shape
	check   func(string) error // nil, or a predicate of the text: "has no port"
}

// formats are the shapes that a format or keys tag can name.
var formats = map[string]format{
	"name":            {"a name of a-z, 0-9, _ and -, at most 63 long", "www", checkName},
	"node_name":       {"a name of letters, digits, . _ and -, at most 253 long", "fra1", checkNodeName},
	"path":            {"the path of a file or folder", "/var/lib/levee/file", checkPath},
	"email":           {"a mail address", "ops@example.com", checkEmail},
	"listen":          {"HOST:PORT with an IP address, localhost or nothing as HOST, as in :8080 or 127.0.0.1:8080", "127.0.0.1:8080", checkListen},
	"host":            {"a host name or an IP address", "origin.example.com", checkHost},
	"host_pattern":    {"a host name, *.example.com for the names below it, or * for any host", "*.example.com", checkHostPattern},
	"match_host":      {"a host name, *.example.com for the names below it, or * for any host", "*.example.com", checkMatchHost},
	"origin_host":     {"client, origin or a host name", "origin", checkOriginHost},
	"origin_url":      {"a URL as in https://origin.example.com:8443/prefix", "https://origin.example.com", checkOriginURL},
	"url_path":        {"a path that begins with /", "/healthz", checkURLPath},
	"path_pattern":    {"a pattern that begins with / or *, as in /static/*", "/static/*", checkPathPattern},
	"pattern":         {"a pattern, with * for any run of characters and ? for one", "*", checkFieldValue},
	"method":          {"a request method in capitals, as in GET", "GET", checkMethod},
	"token":           {"a name of letters, digits and !#$%&'*+-.^_`|~", "session", checkToken},
	"field_name":      {"the name of a header field, as in Accept-Language", "Accept-Language", checkToken},
	"match_field":     {"the name of a header field, but not Host", "Accept-Language", checkMatchField},
	"field_value":     {"a value without line breaks, other control characters and outer spaces, at most 8KiB", "1", checkFieldValue},
	"settable_field":  {"the name of a header field that does not frame or steer a connection", "X-Served-By", checkSettable},
	"query_name":      {"the name of a parameter, * in it for any run of characters", "utm_*", checkQueryName},
	"error_status":    {"a status from 400 to 599, 4xx, 5xx or default", "404", checkErrorStatus},
	"redirect_target": {"an http or https URL or a path that begins with /, with {host}, {path} and {query} in it", "https://{host}{path}", checkRedirect},
	"tls_url":         {"tls://HOST:PORT", "tls://core1.example.net:4250", func(s string) error { return checkServerURL(s, "tls") }},
	"nats_url":        {"nats://HOST:PORT or tls://HOST:PORT", "nats://bus.example.net:4222", func(s string) error { return checkServerURL(s, "nats", "tls") }},
	"domain":          {"a domain name", "cdn.example.com", checkDomain},
	"zone_label":      {"a name relative to the zone, as in www, or @ for the zone's own", "www", checkZoneLabel},
}

// only tells whether every byte of s is a letter, a digit, or in more.
func only(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(more, c) >= 0) {
			return false
		}
	}
	return true
}

// hasControl tells whether s has a control character (RFC 9110 section 5.5 bars
// them from field values), the tab among them.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func checkName(s string) error {
	if s == "" || len(s) > 63 || !only(s, "_-") || strings.ToLower(s) != s {
		return errors.New("is not a name")
	}
	return nil
}

func checkNodeName(s string) error {
	if s == "" || len(s) > 253 || !only(s, "._-") {
		return errors.New("is not a name of a node")
	}
	return nil
}

func checkPath(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case strings.IndexByte(s, 0) >= 0 || len(s) > 4096:
		return errors.New("is not a path")
	}
	return nil
}

func checkEmail(s string) error {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || strings.ContainsAny(local, " <>\"(),:;") || hasControl(s) || checkDomain(domain) != nil {
		return errors.New("is not a mail address")
	}
	return nil
}

func checkOriginHost(s string) error {
	if host, _, err := splitListen(s); err == nil && host != "" {
		return checkHost(host) // a Host field may have a port
	}
	return checkHost(s)
}

func checkOriginURL(s string) error {
	_, err := parseOriginURL(s)
	return err
}

// parseOriginURL reads the URL of a member: http or https, a host, perhaps a
// port and a path prefix, and nothing else.
func parseOriginURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "":
		if err == nil || strings.Contains(s, "://") {
			return nil, errors.New("is not a URL")
		}
		return nil, errors.New("is not a URL: it has no http:// or https:// in front")
	case u.Scheme == "":
		return nil, errors.New("is not a URL: it has no http:// or https:// in front")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("has a scheme that is not http or https")
	case u.User != nil:
		return nil, errors.New("has a user in it")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("has a query")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return nil, errors.New("has a fragment")
	case u.Hostname() == "":
		return nil, errors.New("has no host")
	}
	if err := checkHost(u.Hostname()); err != nil {
		return nil, errors.New("has a host that " + err.Error())
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	return u, nil
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 1 || n > 65535) || port == "" && strings.HasSuffix(u.Host, ":") {
		return errors.New("has a port that is not from 1 to 65535")
	}
	return nil
}

func checkServerURL(s string, schemes ...string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || !slices.Contains(schemes, u.Scheme) || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return errors.New("is not " + strings.Join(schemes, ":// or ") + "://HOST:PORT")
	case u.User != nil:
		return errors.New("has a user in it")
	case u.Port() == "":
		return errors.New("has no port")
	case checkHost(u.Hostname()) != nil:
		return errors.New("has no host")
	}
	return checkPort(u)
}

func checkURLPath(s string) error {
	if !strings.HasPrefix(s, "/") {
		return errors.New("does not begin with /")
	}
	return checkNormal(s)
}

func checkPathPattern(s string) error {
	if s == "" || s[0] != '/' && s[0] != '*' {
		return errors.New("can match no path: a path begins with /")
	}
	return checkNormal(strings.ReplaceAll(s, "?", "x")) // ? stands for a sign like any other
}

// checkNormal refuses what is not in the normal form of a path (RFC 3986 section
// 6.2.2), in which requests are matched and sent on.
func checkNormal(s string) error {
	if strings.ContainsAny(s, "?#") {
		return errors.New("has a query or a fragment")
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || c == '\\':
			return errors.New("has a sign that a path can only have as %XX")
		case c == '%':
			n, err := strconv.ParseUint(s[i+1:min(i+3, len(s))], 16, 8)
			if err != nil || i+3 > len(s) || n == 0 {
				return errors.New("has a % that is not the begin of %XX")
			}
			if code := s[i+1 : i+3]; code != strings.ToUpper(code) || n < 0x80 && only(string(rune(n)), "-._~") {
				return errors.New("is not in normal form: %XX stands in capitals, and only where it has to")
			}
			i += 2
		}
	}
	// Some origins see a step up in "..;x" and "..%2F", so no request has them either.
	for segment := range strings.FieldsFuncSeq(strings.NewReplacer("%2F", "/", "%5C", "/").Replace(s), func(r rune) bool { return r == '/' }) {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return errors.New("is not in normal form: it has . or .. between slashes")
		}
	}
	return nil
}

func checkMethod(s string) error {
	if err := checkToken(s); err != nil {
		return errors.New("is not a method")
	}
	// Methods are case-sensitive (RFC 9110 section 9.1), and none in use has small letters.
	if up := strings.ToUpper(s); up != s {
		return errors.New("is not a method: methods are in capitals, as in " + up)
	}
	return nil
}

// checkToken holds s against token of RFC 9110 section 5.6.2.
func checkToken(s string) error {
	if s == "" || len(s) > 256 || !only(s, "!#$%&'*+-.^_`|~") {
		return errors.New("is not a name (a token of RFC 9110)")
	}
	return nil
}

func checkFieldValue(s string) error {
	switch {
	case len(s) > 8<<10:
		return errors.New("is longer than 8KiB")
	case hasControl(strings.ReplaceAll(s, "\t", "")):
		return errors.New("has a line break or another control character")
	case strings.Trim(s, " \t") != s:
		return errors.New("has a space or tab at an end")
	}
	return nil
}

func checkMatchField(s string) error {
	if strings.EqualFold(s, "Host") {
		return errors.New("is matched by hosts")
	}
	return checkToken(s)
}

// checkSettable refuses the fields that belong to one connection or frame a
// message (RFC 9110 section 7.6.1, RFC 9112 section 6), and CDN-Loop, which
// nobody but the CDN may change (RFC 8586 section 2).
func checkSettable(s string) error {
	if err := checkToken(s); err != nil {
		return err
	}
	switch lower := strings.ToLower(s); lower {
	case "connection", "transfer-encoding", "content-length", "upgrade", "te", "trailer", "keep-alive", "http2-settings":
		return errors.New("frames or steers one connection: levee sets it itself")
	case "cdn-loop":
		return errors.New("guards against loops: levee sets it itself")
	default:
		if strings.HasPrefix(lower, "proxy-") {
			return errors.New("is for one hop only: levee sets it itself")
		}
	}
	return nil
}

func checkQueryName(s string) error {
	if s == "" || len(s) > 256 || strings.ContainsAny(s, "&=#") || hasControl(s) {
		return errors.New("is not the name of a parameter")
	}
	return nil
}

func checkErrorStatus(s string) error {
	if s == "4xx" || s == "5xx" || s == "default" {
		return nil
	}
	if n, err := strconv.Atoi(s); err != nil || len(s) != 3 || n < 400 || n > 599 {
		return errors.New("is not the status of an error")
	}
	return nil
}

func checkRedirect(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return errors.New("has a sign that a URL can only have as %XX")
	}
	filled := strings.NewReplacer("{host}", "host.example", "{path}", "/path", "{query}", "?query").Replace(s)
	if strings.ContainsAny(filled, "{}") {
		return errors.New("has a placeholder other than {host}, {path} and {query}")
	}
	switch {
	// A browser reads //x as another host, and a client chooses its path: //{path} and /{path} could lead anywhere.
	case strings.HasPrefix(s, "//") || strings.HasPrefix(s, "/{path}") || strings.HasPrefix(s, "/{host}"):
		return errors.New("begins like the name of another host")
	case strings.HasPrefix(s, "/") || strings.HasPrefix(s, "{path}"):
		return nil
	case !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://"):
		return errors.New("is neither an http or https URL nor a path that begins with /")
	}
	u, err := url.Parse(filled)
	switch {
	case err != nil || u.Host == "":
		return errors.New("has no host")
	case u.User != nil:
		return errors.New("has a user in it")
	}
	if err := checkHost(u.Hostname()); err != nil {
		return errors.New("has a host that " + err.Error())
	}
	return checkPort(u)
}

func checkZoneLabel(s string) error {
	if s == "@" || checkDomain(s) == nil {
		return nil
	}
	return errors.New("is not a name in a zone")
}
