package cassette

import (
	"strings"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// Redaction says what is a secret. The zero value is all that package secret
// knows itself.
type Redaction struct {
	Set     *secret.Set // what is looked for; nil: what package secret knows itself
	Headers []string    // more fields whose whole values are secrets, without case
	Off     bool        // nothing is one
}

// A hider puts placeholders where secrets are. It is safe for concurrent use if
// sub is.
type hider struct {
	set     *secret.Set
	headers map[string]bool
	// sub gives the mark of a secret. It is given what the secret is, not escaped.
	sub func(class, value string) string
}

// hider is what hides as r says; nil hides nothing.
func (r Redaction) hider(sub func(class, value string) string) *hider {
	if r.Off {
		return nil
	}
	h := &hider{set: r.Set, headers: map[string]bool{}, sub: sub}
	for _, name := range r.Headers {
		h.headers[strings.ToLower(name)] = true
	}
	if h.set == nil {
		h.set = secret.Default()
	}
	return h
}

// mark is the placeholder of f.
func (h *hider) mark(f secret.Finding) string {
	if f.Class == secret.Literal {
		return escape(f.Value)
	}
	return inForm(h.sub(f.Class, f.Value), f.Form)
}

// text is s, which came with the traffic, in the cassette's form.
func (h *hider) text(s string) string {
	if h == nil {
		return escape(s)
	}
	found := h.set.Find([]byte(s))
	if len(found) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, f := range found {
		b.WriteString(s[at:f.From])
		b.WriteString(h.mark(f))
		at = f.To
	}
	b.WriteString(s[at:])
	return b.String()
}

// field is the value of the field called name in the cassette's form.
func (h *hider) field(name, value string) string {
	switch {
	case h == nil:
		return escape(value)
	case h.headers[strings.ToLower(name)] && value != "":
		return h.sub("custom", value)
	case secretClass(name) == "":
		return h.text(value)
	}
	return h.around(redact(name, escape(value), h.escaped))
}

// escaped is sub for what redact found.
// A placeholder stays.
func (h *hider) escaped(class, value string) string {
	if strings.HasPrefix(value, secretOpen) {
		return value
	}
	return h.sub(class, unescape(value))
}

// around hides what is between the placeholders of s.
func (h *hider) around(s string) string {
	texts, marks := cutMarks(s)
	var b strings.Builder
	for i, t := range texts {
		b.WriteString(h.text(unescape(t)))
		if i < len(marks) {
			b.WriteString(marks[i])
		}
	}
	return b.String()
}

// fields appends fs to dst, in the cassette's form.
func (h *hider) fields(dst, fs []exchange.Field) []exchange.Field {
	for _, f := range fs {
		dst = append(dst, exchange.Field{Name: f.Name, Value: h.field(f.Name, f.Value)})
	}
	return dst
}

// raw is the raw head of an HTTP/1 message in the cassette's form. A field with a
// secret loses its folding; all others keep every byte.
func (h *hider) raw(b []byte) []byte {
	switch {
	case len(b) == 0:
		return nil
	case h == nil:
		return []byte(escape(string(b)))
	}
	return []byte(h.around(string(redactRaw(b, h.headers, h.escaped))))
}

// all is ss, each in the cassette's form.
func (h *hider) all(ss []string) []string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = h.text(s)
	}
	return out
}

// fieldAgain is field of what is in the cassette's form.
func (h *hider) fieldAgain(name, value string) string {
	if h.headers[strings.ToLower(name)] && value != "" && !strings.Contains(value, secretOpen) {
		return h.sub("custom", unescape(value))
	}
	if secretClass(name) != "" {
		value = redact(name, value, h.escaped)
	}
	return h.around(value)
}

// rawAgain is raw of what is in the cassette's form.
func (h *hider) rawAgain(b []byte) []byte {
	_, marks := cutMarks(string(b))
	if len(marks) > 0 {
		return []byte(h.around(string(b)))
	}
	return h.raw([]byte(unescape(string(b))))
}
