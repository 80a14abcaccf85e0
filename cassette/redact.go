package cassette

import (
	"strings"

	"github.com/serge-net/serge-net/cassette/secret"
)

const (
	secretOpen  = "{{secret:"
	secretClose = "}}"
	literal     = "{{lit}}" // stands for "{{" that came with the traffic
)

// hasMarks says whether b holds something that escape would change.
func hasMarks(b []byte) bool {
	s := string(b)
	return strings.Contains(s, secretOpen) || strings.Contains(s, literal)
}

// escape makes s, which came with the traffic, text of a cassette, in which
// {{secret: begins a placeholder. unescape undoes it.
func escape(s string) string {
	if !strings.Contains(s, "{{") {
		return s
	}
	return strings.NewReplacer(secretOpen, literal+"secret:", literal, literal+"lit}}").Replace(s)
}

// unescape undoes escape.
func unescape(s string) string { return strings.ReplaceAll(s, literal, "{{") }

// A placeholder is {{secret:class#n}}, or {{secret:class#n~form}} where the secret
// is not written as it is but in a secret.Form. without the form it is the mark.

// cutForm cuts a placeholder into its mark and its form.
func cutForm(placeholder string) (mark string, form secret.Form) {
	mark, f, ok := strings.Cut(placeholder, "~")
	if !ok {
		return placeholder, ""
	}
	return mark + secretClose, secret.Form(strings.TrimSuffix(f, secretClose))
}

// inForm is mark for a secret that is written in form.
func inForm(mark string, form secret.Form) string {
	if form == "" {
		return mark
	}
	return strings.TrimSuffix(mark, secretClose) + "~" + string(form) + secretClose
}

// isPlaceholder says whether s is one placeholder and nothing else.
func isPlaceholder(s string) bool {
	return strings.HasPrefix(s, secretOpen) && strings.Index(s, secretClose) == len(s)-len(secretClose)
}

// expand replaces the placeholders in s by what value gives for their marks, in
// their forms, and undoes escape on the rest.
func expand(s string, value func(mark string) string) string {
	if !strings.Contains(s, "{{") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, secretOpen)
		if i < 0 {
			break
		}
		n := strings.Index(s[i:], secretClose)
		if n < 0 {
			break
		}
		end := i + n + len(secretClose)
		b.WriteString(unescape(s[:i]))
		mark, form := cutForm(s[i:end])
		b.WriteString(form.Encode(value(mark)))
		s = s[end:]
	}
	b.WriteString(unescape(s))
	return b.String()
}

// secretClass is the class of the secrets in the field called name, "" if it
// holds none.
func secretClass(name string) string {
	var room [len("ocp-apim-subscription-key")]byte // the longest
	if len(name) > len(room) {
		return ""
	}
	lower := append(room[:0], name...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	switch string(lower) {
	case "authorization":
		return "auth"
	case "proxy-authorization":
		return "proxy-auth"
	case "cookie", "set-cookie":
		return "cookie"
	case "x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token", "x-goog-api-key", "x-amz-security-token", "private-token",
		"x-auth-key", "x-api-secret", "x-api-token", "x-session-token", "x-csrf-token", "x-xsrf-token", "x-vault-token", "x-gitlab-token",
		"x-shopify-access-token", "x-figma-token", "x-rapidapi-key", "x-functions-key", "ocp-apim-subscription-key", "circle-token",
		"dd-api-key", "dd-application-key", "x-honeycomb-team", "x-client-secret", "x-hub-signature-256", "x-twilio-signature":
		return "key"
	}
	return ""
}

// redact returns the value of the field called name with each secret in it
// replaced by what sub gives. The value, and what sub is given, are escaped.
// Around the secrets, what tells a person or a parser something stays: scheme,
// cookie names, Set-Cookie attributes.
func redact(name, value string, sub func(class, secret string) string) string {
	class := secretClass(name)
	if class == "" {
		return value
	}
	put := func(s string) string {
		if s == "" {
			return s
		}
		return sub(class, s)
	}
	switch class {
	case "auth", "proxy-auth":
		scheme, rest, ok := strings.Cut(value, " ")
		if !ok {
			return put(value)
		}
		secret := strings.TrimLeft(rest, " ")
		return scheme + " " + rest[:len(rest)-len(secret)] + put(secret)
	case "cookie":
		if strings.EqualFold(name, "set-cookie") {
			first, attributes, _ := strings.Cut(value, ";")
			return redactPair(first, put) + value[len(first):len(value)-len(attributes)] + attributes
		}
		parts := strings.Split(value, ";")
		for i, p := range parts {
			parts[i] = redactPair(p, put)
		}
		return strings.Join(parts, ";")
	}
	return put(value)
}

// redactPair replaces the value in "name=value"; one without a name is a value.
func redactPair(pair string, put func(string) string) string {
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		name, value = "", pair
	} else {
		name += "="
	}
	body := strings.TrimSpace(value)
	if body == "" {
		return pair
	}
	lead := value[:strings.Index(value, body)]
	return name + lead + put(body) + value[len(lead)+len(body):]
}

// redactRaw is the raw head of an HTTP/1 message in the cassette's form. A
// field with a secret loses its folding; all others keep every byte.
func redactRaw(raw []byte, more map[string]bool, sub func(class, secret string) string) []byte {
	lines := strings.SplitAfter(escape(string(raw)), "\n")
	var b strings.Builder
	for i := 0; i < len(lines); i++ {
		name, value, ok := strings.Cut(lines[i], ":")
		field := strings.TrimSpace(name)
		mine := more[strings.ToLower(field)]
		if i == 0 || !ok || !mine && secretClass(field) == "" {
			b.WriteString(lines[i])
			continue
		}
		for i+1 < len(lines) && lines[i+1] != "" && strings.IndexByte(" \t", lines[i+1][0]) >= 0 {
			i++
			value = strings.TrimRight(value, "\r\n") + " " + strings.TrimLeft(lines[i], " \t")
		}
		core := strings.Trim(value, " \t\r\n")
		at := strings.Index(value, core)
		hidden := core
		switch {
		case core == "":
		case mine:
			hidden = sub("custom", core)
		default:
			hidden = redact(field, core, sub)
		}
		b.WriteString(name + ":" + value[:at] + hidden + value[at+len(core):])
	}
	return []byte(b.String())
}
