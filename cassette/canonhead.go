package cassette

import (
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// headers sorts fields into those that must be equal, those that hold secrets,
// and those that only break ties.
func (f *form) headers(u *rules, fields []exchange.Field) {
	var cookies []string
	for _, h := range fields {
		name := strings.ToLower(h.Name)
		switch {
		case u.headers[name]:
		case name == "idempotency-key" || name == "x-idempotency-key":
			f.keys = append(f.keys, pair{name, h.Value})
		case !u.off.has(lawIgnored) && ignored(name):
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
			if u.off.has(lawMedia) {
				media = h.Value
			}
			f.hard = append(f.hard, pair{name, strings.ToLower(strings.TrimSpace(media))})
		case hard(name) && !u.off.has(lawHard):
			f.hard = append(f.hard, pair{name, h.Value})
		case strings.HasPrefix(name, "if-"):
			f.cond = append(f.cond, pair{name, h.Value})
			f.soft = append(f.soft, pair{name, h.Value})
		case (name == "accept" || name == "accept-language" || strings.HasPrefix(name, "x-")) && !u.off.has(lawSoft):
			f.soft = append(f.soft, pair{name, h.Value})
		}
	}
	if !u.off.has(lawCookies) {
		slices.SortStableFunc(cookies, func(a, b string) int {
			a, _, _ = strings.Cut(a, "=")
			b, _, _ = strings.Cut(b, "=")
			return strings.Compare(a, b)
		})
	}
	for _, c := range cookies {
		f.hard = append(f.hard, pair{"cookie", f.masked("cookie", c)})
	}
	byName := func(a, b pair) int { return strings.Compare(a.name, b.name) }
	slices.SortStableFunc(f.hard, byName)
	slices.SortStableFunc(f.secrets, byName)
}

// hard says whether a field tells requests apart by its value.
func hard(name string) bool {
	switch name {
	case "range", "soapaction", "x-amz-target", "x-http-method-override", "sec-websocket-protocol", "last-event-id":
		return true
	}
	return false
}

// masked is value with its secrets taken out, into f.secrets.
func (f *form) masked(name, value string) string {
	return redact(name, value, func(_, secret string) string {
		if !oneTime(value) {
			f.secrets = append(f.secrets, pair{name + " " + strings.SplitN(value, secret, 2)[0], secret})
		}
		return "*"
	})
}

// oneTime says whether credentials are of an authorization scheme that makes them
// anew for every request, so that their values tell nobody apart.
func oneTime(value string) bool {
	scheme, rest, _ := strings.Cut(value, " ")
	s := strings.ToLower(scheme)
	return strings.HasPrefix(s, "aws4-") || s == "digest" || s == "ntlm" || s == "negotiate" || s == "hawk" ||
		s == "oauth" && strings.Contains(rest, "oauth_signature")
}

// ignored says whether a request's field never tells two requests apart: it
// describes the client's program, the hop, a trace, or a retry.
func ignored(name string) bool {
	switch name {
	case "user-agent", "accept-encoding", "date", "connection", "keep-alive", "te", "trailer", "transfer-encoding",
		"upgrade", "proxy-connection", "content-length", "expect", "host", "traceparent", "tracestate", "b3",
		"sentry-trace", "baggage", "x-request-id", "x-correlation-id", "x-amzn-trace-id", "x-cloud-trace-context",
		"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "sec-websocket-key":
		return true
	}
	return strings.HasPrefix(name, "x-datadog-") || strings.HasPrefix(name, "x-b3-") || strings.HasPrefix(name, "amz-sdk-")
}
