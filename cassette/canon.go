package cassette

import (
	"crypto/sha256"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// A form is what a request amounts to: two requests with the same sum are
// equal but for their secrets, which are compared apart.
type form struct {
	sum     [sha256.Size]byte
	body    [sha256.Size]byte // of the body alone
	route   string            // method, scheme, host, port and path
	query   []pair
	hard    []pair
	secrets []pair
	soft    []pair
	cond    []string // conditional fields that are there, lower case
}

// A pair is a name and a value in canonical form. In secrets, the name says
// where, and the value is in the cassette's form: a placeholder or the secret.
type pair struct{ name, value string }

// rules are what the user wants left out of comparisons, names in lower case.
type rules struct{ headers, query map[string]bool }

// formOf is the canonical form of r, whose body has the digest body.
func (u rules) formOf(r *Request, body [sha256.Size]byte) form {
	f := form{body: body}
	scheme, rest, _ := strings.Cut(r.URL, "://")
	rest, _, _ = strings.Cut(rest, "#")
	host := hostOf(r.URL)
	path, query, _ := strings.Cut(rest[min(len(host), len(rest)):], "?")
	if path == "" {
		path = "/"
	}
	scheme = strings.ToLower(scheme)
	f.route = r.Method + " " + scheme + "://" + foldPort(scheme, host) + normalPath(path)
	if r.Target != "" {
		f.route += " " + printable(r.Target)
	}
	f.query = u.queryOf(query)
	f.headers(u, r.Fields)
	b := appendCounted(make([]byte, 0, 512), f.route) // on the stack, if that is enough
	for _, group := range [][]pair{f.query, f.hard} {
		b = appendCounted(b, strconv.Itoa(len(group)))
		for _, p := range group {
			b = appendCounted(appendCounted(b, p.name), p.value)
		}
	}
	f.sum = sha256.Sum256(append(b, body[:]...))
	return f
}

// appendCounted appends s with its length in front, so that no two lists look alike.
func appendCounted(b []byte, s string) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

// put hashes s with its length in front.
func put(h hash.Hash, s string) { h.Write(appendCounted(nil, s)) }

// foldPort is host in lower case without the port that scheme implies.
func foldPort(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http", "ws":
		return strings.TrimSuffix(host, ":80")
	case "https", "wss":
		return strings.TrimSuffix(host, ":443")
	}
	return host
}

// normal is s with percent-encoding normalised: what need not be encoded is
// not, and what is has upper-case digits (RFC 3986, 6.2.2).
func normal(s string, plus bool) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return c <= 0x20 || c >= 0x7f || c == '%' || c == '+' && plus }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c, encoded := s[i], false
		if c == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				c, encoded = byte(v), true
				i += 2
			}
		}
		switch {
		case plus && c == '+' && !encoded:
			b.WriteString("%20")
		case unreserved(c) || !encoded && c > 0x20 && c < 0x7f:
			b.WriteByte(c)
		default:
			b.WriteString("%" + strings.ToUpper(string([]byte{hexDigit(c >> 4), hexDigit(c & 15)})))
		}
	}
	return b.String()
}

func hexDigit(v byte) byte { return "0123456789abcdef"[v] }

// unreserved is RFC 3986, 2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func normalPath(p string) string { return normal(p, false) }

// queryOf is the query as a multiset by name: order counts within a name only.
func (u rules) queryOf(q string) []pair {
	var ps []pair
	if q == "" {
		return nil
	}
	for part := range strings.SplitSeq(q, "&") {
		k, v, eq := strings.Cut(part, "=")
		p := pair{normal(k, true), normal(v, true)}
		if eq {
			p.value = "=" + p.value
		}
		ps = append(ps, p)
	}
	ps = unsigned(ps)
	ps = slices.DeleteFunc(ps, func(p pair) bool { return u.query[strings.ToLower(p.name)] })
	slices.SortStableFunc(ps, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	return ps
}

// unsigned is ps with the values of signatures and cache busters masked. A
// signature is known by the whole set of its names.
func unsigned(ps []pair) []pair {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool {
			return !slices.ContainsFunc(ps, func(p pair) bool { return p.name == n })
		})
	}
	amz, goog, cloudfront := has("X-Amz-Signature"), has("X-Goog-Signature"), has("Signature", "Key-Pair-Id")
	oauth := has("oauth_signature", "oauth_nonce", "oauth_timestamp")
	var out []pair
	for _, p := range ps {
		switch {
		case amz && strings.HasPrefix(p.name, "X-Amz-"), goog && strings.HasPrefix(p.name, "X-Goog-"):
			continue
		case cloudfront && slices.Contains([]string{"Signature", "Expires", "Key-Pair-Id", "Policy"}, p.name),
			oauth && slices.Contains([]string{"oauth_signature", "oauth_nonce", "oauth_timestamp"}, p.name),
			p.name == "_", p.name == "cb", p.name == "sig":
			p.value = "*"
		}
		out = append(out, p)
	}
	for name, signed := range map[string]bool{"X-Amz-*": amz, "X-Goog-*": goog} {
		if signed {
			out = append(out, pair{name, "*"})
		}
	}
	return out
}

// headers sorts fields into those that must be equal, those that hold secrets,
// and those that only break ties.
func (f *form) headers(u rules, fields []exchange.Field) {
	var cookies []string
	for _, h := range fields {
		name := strings.ToLower(h.Name)
		switch {
		case u.headers[name] || ignored(name):
		case name == "cookie":
			for c := range strings.SplitSeq(h.Value, ";") {
				if c = strings.TrimSpace(c); c != "" {
					cookies = append(cookies, c)
				}
			}
		case secretClass(name) != "":
			f.hard = append(f.hard, pair{name, f.masked(name, h.Value)})
		case name == "content-type":
			media, _, _ := strings.Cut(h.Value, ";")
			f.hard = append(f.hard, pair{name, strings.ToLower(strings.TrimSpace(media))})
		case slices.Contains([]string{"range", "soapaction", "x-amz-target", "x-http-method-override", "sec-websocket-protocol"}, name):
			f.hard = append(f.hard, pair{name, h.Value})
		case strings.HasPrefix(name, "if-"):
			f.cond = append(f.cond, name)
			f.soft = append(f.soft, pair{name, h.Value})
		case name == "accept" || name == "accept-language" || strings.HasPrefix(name, "x-"):
			f.soft = append(f.soft, pair{name, h.Value})
		}
	}
	slices.SortStableFunc(cookies, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	for _, c := range cookies {
		f.hard = append(f.hard, pair{"cookie", f.masked("cookie", c)})
	}
	byName := func(a, b pair) int { return strings.Compare(a.name, b.name) }
	slices.SortStableFunc(f.hard, byName)
	slices.SortStableFunc(f.secrets, byName)
}

// masked is value with its secrets taken out, into f.secrets.
func (f *form) masked(name, value string) string {
	scheme, _, _ := strings.Cut(value, " ")
	return redact(name, value, func(_, secret string) string {
		if !oneTime(scheme) {
			f.secrets = append(f.secrets, pair{name + " " + strings.SplitN(value, secret, 2)[0], secret})
		}
		return "*"
	})
}

// oneTime says whether credentials of an authorization scheme are made anew
// for every request, so that their values tell nobody apart.
func oneTime(scheme string) bool {
	s := strings.ToLower(scheme)
	return strings.HasPrefix(s, "aws4-") || s == "digest" || s == "ntlm" || s == "negotiate" || s == "hawk"
}

// ignored says whether a request's field never tells two requests apart: it
// describes the client's program, the hop, a trace, or a retry.
func ignored(name string) bool {
	switch name {
	case "user-agent", "accept-encoding", "date", "connection", "keep-alive", "te", "trailer", "transfer-encoding",
		"upgrade", "proxy-connection", "content-length", "expect", "host", "traceparent", "tracestate", "b3",
		"sentry-trace", "baggage", "x-request-id", "x-correlation-id", "x-amzn-trace-id", "x-cloud-trace-context",
		"idempotency-key", "x-idempotency-key", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "sec-websocket-key":
		return true
	}
	return strings.HasPrefix(name, "x-datadog-") || strings.HasPrefix(name, "x-b3-") || strings.HasPrefix(name, "amz-sdk-")
}

// rekey computes i's form.
func (i *Interaction) rekey(u rules) error {
	body, err := bodySum(&i.Request)
	i.key = u.formOf(&i.Request, body)
	return err
}
