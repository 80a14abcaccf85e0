package secret

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
)

// A named is a name that secrets go by in JSON, forms, queries, multipart and
// XML. Case counts for nothing, and "_" may be "-" or left out.
type named struct {
	name  string
	class string
	least int  // how long the value is at least
	drawn bool // it is one only if it looks drawn at random
	oauth bool // it is one only beside what tells of OAuth
}

// names are those of OAuth (RFC 6749, 7009, 7521, 8628), of the clouds' credentials
// and of passwords.
func names() []named {
	return []named{
		{name: "client_secret", class: "oauth", least: 4}, {name: "access_token", class: "oauth", least: 6}, {name: "refresh_token", class: "oauth", least: 6},
		{name: "id_token", class: "oauth", least: 6}, {name: "device_code", class: "oauth", least: 8}, {name: "code_verifier", class: "oauth", least: 8},
		{name: "client_assertion", class: "oauth", least: 8}, {name: "subject_token", class: "oauth", least: 8}, {name: "oauth_token", class: "oauth", least: 8},
		{name: "oauth_token_secret", class: "oauth", least: 8}, {name: "code", class: "oauth", least: 6, oauth: true}, {name: "assertion", class: "oauth", least: 16, drawn: true},
		{name: "password", class: "password", least: 4}, {name: "passwd", class: "password", least: 4}, {name: "passphrase", class: "password", least: 4},
		{name: "new_password", class: "password", least: 4}, {name: "current_password", class: "password", least: 4},
		{name: "secret_access_key", class: "aws", least: 16}, {name: "session_token", class: "key", least: 8, drawn: true}, {name: "security_token", class: "key", least: 16, drawn: true},
		{name: "account_key", class: "azure", least: 16}, {name: "shared_access_key", class: "azure", least: 16}, {name: "shared_secret", class: "key", least: 8},
		{name: "api_key", class: "key", least: 8, drawn: true}, {name: "api_secret", class: "key", least: 8}, {name: "app_secret", class: "key", least: 8},
		{name: "api_token", class: "key", least: 8}, {name: "auth_token", class: "key", least: 8}, {name: "bearer_token", class: "key", least: 8}, {name: "secret_key", class: "key", least: 8, drawn: true},
		{name: "private_token", class: "key", least: 8}, {name: "private_key", class: "key", least: 16, drawn: true}, {name: "signing_key", class: "key", least: 16, drawn: true},
		{name: "encryption_key", class: "key", least: 16, drawn: true}, {name: "webhook_secret", class: "key", least: 8}, {name: "csrf_token", class: "key", least: 16, drawn: true},
		{name: "token", class: "key", least: 16, drawn: true}, {name: "secret", class: "key", least: 12, drawn: true},
	}
}

// fields are the probes of names.
func fields() []probe {
	var out []probe
	for _, n := range names() {
		for _, sep := range []string{"_", "-", ""} {
			text := strings.ReplaceAll(n.name, "_", sep)
			if sep != "_" && text == n.name {
				continue
			}
			p := probe{text, func(b []byte, at int, final bool) (Finding, verdict) { return n.try(text, b, at, final) }}
			out = append(out, p)
			if sep == "_" && len(text) >= Least {
				out = append(out, in64(p)...)
			}
		}
	}
	return out
}

func (n named) try(text string, b []byte, at int, final bool) (f Finding, v verdict) {
	if v := matches(b, at, text, final, true); v != yes {
		return f, v
	}
	if !opens(b, at) && b[at-1] != '_' && !(b[at] < 'a' && lower(b[at-1]) == b[at-1]) { // dbPassword
		return f, no
	}
	from, end, v := valued(b, at+len(text), final)
	if v != yes {
		return f, v
	}
	raw := b[from:end.at]
	value, form := end.decode(raw)
	if len(value) < n.least || common(value) || strings.HasPrefix(value, "${") || strings.HasPrefix(value, secretOpen) || n.drawn && !drawn(value) {
		return f, no
	}
	if n.oauth {
		if v := beside(b, at, final); v != yes {
			return f, v
		}
	}
	return Finding{From: from, To: end.at, Class: n.class, Value: value, Form: form}, yes
}

// secretOpen is how a cassette's placeholder begins: no secret does.
const secretOpen = "{{secret:"

// An ending is where a value ends and how it is written.
type ending struct {
	at    int
	quote string // "" in a form
}

// decode is raw as it is meant, and the Form that gives raw back from it.
func (e ending) decode(raw []byte) (string, Form) {
	s := string(raw)
	switch {
	case e.quote == `"` && strings.Contains(s, `\`):
		var v string
		if json.Unmarshal([]byte(`"`+s+`"`), &v) == nil {
			return v, "json"
		}
	case e.quote == "" && strings.ContainsAny(s, "%+"):
		if v, err := url.QueryUnescape(s); err == nil {
			return v, "percent"
		}
	}
	return s, ""
}

// valued finds the value that the name before b[at:] has: where it begins and ends.
func valued(b []byte, at int, final bool) (from int, end ending, v verdict) {
	rest := b[at:min(len(b), at+64)]
	short := len(rest) < 64 && !final
	if i := bytes.IndexFunc(rest, func(r rune) bool { return r > ' ' }); i >= 0 && !bytes.ContainsRune([]byte(`"'\\]%:=>`), rune(rest[i])) {
		return 0, end, no // as most often: the regular expression need not look
	}
	m := assigned().FindSubmatchIndex(rest)
	switch {
	case m == nil && short && partly().Match(rest):
		return 0, end, more
	case m == nil:
		return 0, end, no
	case m[1] == len(rest) && short:
		return 0, end, more // a quote may follow
	}
	from = at + m[1]
	stop := ""
	switch kind := string(rest[m[2]:m[3]]); {
	case m[4] >= 0:
		end.quote = string(rest[m[4]:m[5]])
	case kind == "=" || kind == "%3D" || kind == "%3d":
		stop = "& \t\r\n;\"'<>,\\}){|"
	case kind == ">":
		stop = "<"
	case strings.HasPrefix(kind, "\""):
		stop = "\r\n"
	default:
		return 0, end, no
	}
	for end.at = from; end.at < len(b) && end.at-from < Most; end.at++ {
		c := b[end.at]
		switch {
		case stop != "" && strings.IndexByte(stop, c) >= 0, kindOf(end.quote).ends(b, from, end.at):
			return from, end, yes
		case c == '%' && stop != "" && percentEnds(b[end.at:]):
			return from, end, yes
		case end.quote == `"` && c == '\\':
			end.at++
		}
	}
	if end.at < len(b) || final && end.quote != "" || final && stop == "<" {
		return from, end, no // longer than a secret, or cut
	}
	if final {
		return from, ending{len(b), end.quote}, yes
	}
	return from, end, more
}

// percentEnds says whether b is a percent-encoded "&" or quote: the form that it
// ends stands in another.
func percentEnds(b []byte) bool {
	return bytes.HasPrefix(b, []byte("%26")) || bytes.HasPrefix(b, []byte("%22"))
}

// A kindOf is the quote of a value.
type kindOf string

// ends says whether the value that began at from ends at b[at:].
func (q kindOf) ends(b []byte, from, at int) bool {
	return q != "" && bytes.HasPrefix(b[at:], []byte(q))
}

// drawn says whether s looks drawn at random: letters and digits, or both cases
// within, or long hex; no spaces, and no word after word.
func drawn(s string) bool {
	var digits, lowers, uppers int
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z':
			lowers++
		case 'A' <= c && c <= 'Z':
			uppers++
		case c <= ' ' || c >= 0x7f:
			return false
		}
	}
	if digits == 0 {
		return len(s) >= 20 && uppers > 3 && lowers > 3
	}
	return digits+lowers+uppers >= len(s)*3/4 && lowers+uppers > 0
}

// besideMost is how far away what tells of OAuth may be, in bytes.
const besideMost = 2 << 10

// beside says whether something near b[at:] tells that a code is one of OAuth's:
// a token request (RFC 6749, 4.1.3) or the redirection with one (4.1.2).
func beside(b []byte, at int, final bool) verdict {
	near := b[max(0, at-besideMost):min(len(b), at+besideMost)]
	for _, s := range []string{"grant_type", "state=", "redirect_uri", "code_verifier", "session_state"} {
		if bytes.Contains(near, []byte(s)) {
			return yes
		}
	}
	if !final && len(b)-at < besideMost {
		return more
	}
	return no
}
