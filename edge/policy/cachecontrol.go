package policy

import (
	"net/textproto"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// maxSeconds is what larger delta-seconds become (RFC 9111 §1.2.2): 68 years.
const maxSeconds = 1 << 31

// Seconds is a directive with delta-seconds. Stated with For 0 is also what an
// invalid argument becomes.
type Seconds struct {
	For    time.Duration // 0 to 2^31 s
	Stated bool
}

// CacheControl is a parsed Cache-Control field, or a targeted one (RFC 9213).
type CacheControl struct {
	MaxAge, SMaxAge Seconds
	SWR, SIE        Seconds // stale-while-revalidate, stale-if-error (RFC 5861)

	NoStore, Public                 bool
	NoCache, Private                bool // without a list of fields
	MustRevalidate, ProxyRevalidate bool
	MustUnderstand, NoTransform     bool
	Immutable                       bool // RFC 8246; tells clients not to reload, a shared cache passes it on
	OnlyIfCached                    bool // in requests only

	NoCacheFields, PrivateFields []string // canonical names of no-cache="…", private="…"
}

// ParseCacheControl parses the Cache-Control lines of a message (RFC 9111 §5.2).
// Names are matched without regard to case, quoted strings are read as a whole,
// of duplicate directives with delta-seconds the first counts. An argument that
// is not delta-seconds (also "max-age =1", "max-age= 1") makes the directive
// stated with 0, too large a one saturates. Nothing is an error; unknown
// directives are ignored. It allocates only for lists of fields.
func ParseCacheControl(lines []string) (cc CacheControl) {
	for _, line := range lines {
		for line != "" {
			var d directive
			d, line = nextDirective(line)
			cc.add(d)
		}
	}
	return cc
}

// directive is one member of Cache-Control. arg keeps its quotes.
type directive struct {
	name, arg string
	hasArg    bool
}

// quoted is the content of a quoted argument, its escapes resolved.
func (d directive) quoted() (string, bool) {
	if len(d.arg) < 2 || d.arg[0] != '"' || d.arg[len(d.arg)-1] != '"' {
		return "", false
	}
	s := d.arg[1 : len(d.arg)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b), true
}

// nextDirective takes the first member off line, up to a comma that is not
// within quotes.
func nextDirective(line string) (d directive, rest string) {
	eq, end, quoted := -1, len(line), false
scan:
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '=' && eq < 0:
			eq = i
		case c == ',':
			end = i
			break scan
		}
	}
	member := line[:end]
	if end < len(line) {
		rest = line[end+1:]
	}
	if eq < 0 {
		return directive{name: trimOWS(member)}, rest
	}
	// White space round "=" is not allowed. It is cut off the name, so that
	// "max-age =1" is found, and left in the argument, so that it is invalid.
	d = directive{name: trimOWS(member[:eq]), arg: strings.TrimRight(member[eq+1:], " \t"), hasArg: true}
	if eq > 0 && (member[eq-1] == ' ' || member[eq-1] == '\t') {
		d.arg = " "
	}
	return d, rest
}

func (cc *CacheControl) add(d directive) {
	switch name := d.name; {
	case strings.EqualFold(name, "max-age"):
		cc.MaxAge.state(d)
	case strings.EqualFold(name, "s-maxage"):
		cc.SMaxAge.state(d)
	case strings.EqualFold(name, "stale-while-revalidate"):
		cc.SWR.state(d)
	case strings.EqualFold(name, "stale-if-error"):
		cc.SIE.state(d)
	case strings.EqualFold(name, "no-store"):
		cc.NoStore = true
	case strings.EqualFold(name, "public"):
		cc.Public = true
	case strings.EqualFold(name, "must-revalidate"):
		cc.MustRevalidate = true
	case strings.EqualFold(name, "proxy-revalidate"):
		cc.ProxyRevalidate = true
	case strings.EqualFold(name, "must-understand"):
		cc.MustUnderstand = true
	case strings.EqualFold(name, "no-transform"):
		cc.NoTransform = true
	case strings.EqualFold(name, "immutable"):
		cc.Immutable = true
	case strings.EqualFold(name, "only-if-cached"):
		cc.OnlyIfCached = true
	case strings.EqualFold(name, "no-cache"):
		fields, ok := d.fields()
		cc.NoCacheFields = append(cc.NoCacheFields, fields...)
		cc.NoCache = cc.NoCache || !ok
	case strings.EqualFold(name, "private"):
		fields, ok := d.fields()
		cc.PrivateFields = append(cc.PrivateFields, fields...)
		cc.Private = cc.Private || !ok
	}
}

func (s *Seconds) state(d directive) {
	if s.Stated {
		return // the first counts (RFC 9111 §4.2.1)
	}
	arg := d.arg
	if q, ok := d.quoted(); ok {
		arg = q // RFC 9111 §5.2: accept both forms
	}
	s.Stated = true
	s.For, _ = deltaSeconds(arg)
}

// fields gives the list of a quoted argument; ok is false if the directive is
// to be read as the plain one.
func (d directive) fields() (fields []string, ok bool) {
	q, ok := d.quoted()
	if !ok {
		return nil, false
	}
	return fieldNames(q)
}

// fieldNames parses a list of at least one field name; canonical names.
func fieldNames(list string) (fields []string, ok bool) {
	for more := true; more; {
		var name string
		name, list, more = strings.Cut(list, ",")
		if name = trimOWS(name); name == "" {
			continue
		}
		if !isToken(name) {
			return nil, false
		}
		fields = append(fields, textproto.CanonicalMIMEHeaderKey(name))
	}
	return fields, len(fields) > 0
}

// deltaSeconds parses 1*DIGIT, saturating.
func deltaSeconds(s string) (time.Duration, bool) {
	var n int64
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second, s != ""
}

// ParseTargeted parses the lines of a targeted field such as CDN-Cache-Control
// (RFC 9213 §2.1): a Dictionary of Structured Fields. ok is false, and the
// whole field to be ignored, when it is absent, empty, not a Dictionary, or
// gives a directive that we know a value of the wrong type. A negative lifetime
// counts as 0; parameters and unknown members are ignored.
func ParseTargeted(lines []string) (cc CacheControl, ok bool) {
	if len(lines) == 0 {
		return cc, false
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return cc, false
	}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		if !cc.addTargeted(name, member) {
			return CacheControl{}, false
		}
	}
	return cc, true
}

// addTargeted reports whether a member has the type of its directive.
func (cc *CacheControl) addTargeted(name string, member httpsfv.Member) bool {
	var value any
	if item, ok := member.(httpsfv.Item); ok {
		value = item.Value
	}
	seconds := func(s *Seconds) bool {
		n, ok := value.(int64)
		if ok {
			*s = Seconds{For: time.Duration(min(max(n, 0), maxSeconds)) * time.Second, Stated: true}
		}
		return ok
	}
	flag := func(b *bool) (ok bool) {
		*b, ok = value.(bool)
		return ok
	}
	list := func(b *bool, fields *[]string) (ok bool) {
		if s, isString := value.(string); isString {
			*fields, ok = fieldNames(s)
			return ok
		}
		return flag(b)
	}
	switch name {
	case "max-age":
		return seconds(&cc.MaxAge)
	case "s-maxage":
		return seconds(&cc.SMaxAge)
	case "stale-while-revalidate":
		return seconds(&cc.SWR)
	case "stale-if-error":
		return seconds(&cc.SIE)
	case "no-store":
		return flag(&cc.NoStore)
	case "public":
		return flag(&cc.Public)
	case "must-revalidate":
		return flag(&cc.MustRevalidate)
	case "proxy-revalidate":
		return flag(&cc.ProxyRevalidate)
	case "must-understand":
		return flag(&cc.MustUnderstand)
	case "no-transform":
		return flag(&cc.NoTransform)
	case "immutable":
		return flag(&cc.Immutable)
	case "no-cache":
		return list(&cc.NoCache, &cc.NoCacheFields)
	case "private":
		return list(&cc.Private, &cc.PrivateFields)
	}
	return true
}
