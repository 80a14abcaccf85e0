package secret

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Form is how a value is written. "" is as it is; the others are percent,
// json, jsonhtml, jsonslash, html, hex, HEX, and base64 or base64url with three numbers: how many
// bytes of a group of three stand before the value, and the bits that the first
// and the last character hold of what is around it.
type Form string

// Encode writes value in form f. A form that it does not know is as it is.
func (f Form) Encode(value string) string {
	name, rest, _ := strings.Cut(string(f), ".")
	switch name {
	case "percent":
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	case "json", "jsonhtml", "jsonslash":
		return jsonForms()[f](value)
	case "html":
		return html.EscapeString(value)
	case "hex":
		return hex.EncodeToString([]byte(value))
	case "HEX":
		return strings.ToUpper(hex.EncodeToString([]byte(value)))
	case "base64", "base64url":
		var before, first, last int
		if _, err := fmt.Sscanf(rest, "%d.%d.%d", &before, &first, &last); err == nil && before >= 0 && before < 3 {
			return encode64(name == "base64url", before, first, last, value)
		}
	}
	return value
}

// Decode is the value that s is in form f, s itself if it is none.
func (f Form) Decode(s string) string {
	name, rest, _ := strings.Cut(string(f), ".")
	switch name {
	case "percent":
		if v, err := url.PathUnescape(s); err == nil {
			return v
		}
	case "json", "jsonhtml", "jsonslash":
		var v string
		if json.Unmarshal([]byte(`"`+s+`"`), &v) == nil {
			return v
		}
	case "html":
		return html.UnescapeString(s)
	case "hex", "HEX":
		if v, err := hex.DecodeString(s); err == nil {
			return string(v)
		}
	case "base64", "base64url":
		var before int
		if _, err := fmt.Sscanf(rest, "%d", &before); err == nil && isText64([]byte(s)) {
			return decode64(before, s)
		}
	}
	return s
}

// decode64 is what s, which begins behind before bytes of a group, holds whole.
func decode64(before int, s string) string {
	acc, bits := uint(0), -(8 * before % 6)
	var out []byte
	for i := range len(s) {
		acc, bits = acc<<6|uint(value64(s[i])), bits+6
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return string(out)
}

// jsonForms are the ways to escape a JSON string: as little as can be, "<", ">" and
// "&" too as encoding/json does, "/" too as PHP does.
func jsonForms() map[Form]func(string) string {
	return map[Form]func(string) string{
		"json":      func(s string) string { return jsonText(s, false) },
		"jsonhtml":  func(s string) string { return jsonText(s, true) },
		"jsonslash": func(s string) string { return strings.ReplaceAll(jsonText(s, false), "/", `\/`) },
	}
}

// jsonText is s as it stands between the quotes of a JSON string.
func jsonText(s string, html bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(html)
	if e.Encode(s) != nil {
		return s
	}
	return strings.TrimSuffix(b.String()[1:], "\"\n")
}

// literals are the probes of a known value in all its forms.
func literals(k Known) []probe {
	v := k.Value
	seen := map[string]bool{}
	var out []probe
	put := func(form Form, text string) {
		if len(text) >= window && !seen[text] {
			seen[text] = true
			out = append(out, literal(k, form, text))
		}
	}
	put("", v)
	out = append(out, in64(out[0])...)
	query, path := url.QueryEscape(v), url.PathEscape(v)
	for _, p := range []string{strings.ReplaceAll(query, "+", "%20"), query, path, escapedLess(v)} {
		put("percent", p)
		put("percent", lowerHex(p))
	}
	for form := range maps.Keys(jsonForms()) {
		put(form, form.Encode(v))
	}
	put("html", html.EscapeString(v))
	h := hex.EncodeToString([]byte(v))
	put("hex", h)
	put("HEX", strings.ToUpper(h))
	return out
}

// escapedLess is s as encodeURIComponent has it, which leaves !'()* alone.
func escapedLess(s string) string {
	return strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(url.QueryEscape(s))
}

// lowerHex is s with the digits of its percent-encoding in lower case.
func lowerHex(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			b[i+1], b[i+2] = lower(b[i+1]), lower(b[i+2])
		}
	}
	return string(b)
}

// literal is the probe of k written as text.
func literal(k Known, form Form, text string) probe {
	return probe{text, func(b []byte, at int, final bool) (Finding, verdict) {
		return Finding{at, at + len(text), k.Class, k.Value, form}, matches(b, at, text, final, false)
	}}
}

const std64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// alphabet64 is base64's, url's if url.
func alphabet64(url bool) string {
	if url {
		return std64[:62] + "-_"
	}
	return std64
}

// value64 is the six bits of c, of either alphabet, or -1.
func value64(c byte) int {
	switch {
	case 'A' <= c && c <= 'Z':
		return int(c - 'A')
	case 'a' <= c && c <= 'z':
		return int(c-'a') + 26
	case '0' <= c && c <= '9':
		return int(c-'0') + 52
	case c == '+' || c == '-':
		return 62
	case c == '/' || c == '_':
		return 63
	}
	return -1
}

// encode64 writes value in base64 behind before bytes of a group, whose bits in
// the first character are first; last is the low bits of the last character.
func encode64(url bool, before, first, last int, value string) string {
	set := alphabet64(url)
	bits := 8 * before % 6
	acc := uint(first) & (1<<bits - 1)
	var out []byte
	for i := range len(value) {
		acc, bits = acc<<8|uint(value[i]), bits+8
		for ; bits >= 6; bits -= 6 {
			out = append(out, set[acc>>(bits-6)&63])
		}
	}
	if bits > 0 {
		low := 6 - bits
		out = append(out, set[(acc<<low|uint(last)&(1<<low-1))&63])
	}
	return string(out)
}

// core64 is what text always is in base64 behind before bytes of a group: the
// characters that hold bits of nothing else, and how many characters of the group
// are before them.
func core64(text string, before int, url bool) (core string, chars int) {
	all := encode64(url, before, 0, 0, text)
	chars = 8 * before / 6
	if 8*before%6 > 0 {
		all = all[1:]
		chars++
	}
	if 8*(before+len(text))%6 > 0 {
		all = all[:len(all)-1]
	}
	return all, chars
}

// in64 are the probes of what p finds, in base64.
func in64(p probe) []probe {
	var out []probe
	for before := range 3 {
		for _, url := range []bool{false, true} {
			core, chars := core64(p.text, before, url)
			if plain, _ := core64(p.text, before, false); len(core) < window-1 || url && core == plain {
				continue
			}
			for _, text := range windows64(core, p.text, before, url) {
				out = append(out, probe{text, func(b []byte, at int, final bool) (Finding, verdict) {
					if v := matches(b, at, text, final, false); v != yes {
						return Finding{}, v
					}
					return decoded64(p, b, at, chars, before, final)
				}})
			}
		}
	}
	return out
}

// windows64 is core, or if that is short of a window by one, all that it can be
// with the next character.
func windows64(core, text string, before int, url bool) []string {
	if len(core) >= window {
		return []string{core}
	}
	seen := map[string]bool{}
	for next := range 256 {
		more, _ := core64(text+string([]byte{byte(next)}), before, url)
		seen[more[:window]] = true
	}
	return slices.Collect(maps.Keys(seen))
}

// decoded64 asks p of what is in base64 around b[at:], where chars characters of
// the group and before bytes of it precede what p begins with.
func decoded64(p probe, b []byte, at, chars, before int, final bool) (Finding, verdict) {
	from, skip := at-chars, before
	if from < 0 {
		return Finding{}, no
	}
	if from >= 4 && isText64(b[from-4:from]) {
		from, skip = from-4, skip+3 // what is before tells whether something may begin here
	}
	var plain []byte
	acc, bits, to := uint(0), 0, from
	for ; to < len(b) && to-from < 2*Most; to++ {
		v := value64(b[to])
		if v < 0 {
			break
		}
		if acc, bits = acc<<6|uint(v), bits+6; bits >= 8 {
			bits -= 8
			plain = append(plain, byte(acc>>bits))
		}
	}
	if to < at || skip > len(plain) {
		return Finding{}, no
	}
	f, v := p.try(plain, skip, final || to < len(b))
	if v != yes {
		return f, v
	}
	return placed64(f, plain, b, from), yes
}

// placed64 is f, found in plain, where it stands in the base64 at b[from:].
func placed64(f Finding, plain, b []byte, from int) Finding {
	lead, tail := 8*f.From%6, 8*f.To%6
	g := Finding{From: from + 8*f.From/6, To: from + (8*f.To+5)/6, Class: f.Class, Value: string(plain[f.From:f.To])}
	first, last := value64(b[g.From])>>(6-lead), 0
	if tail > 0 {
		last = value64(b[g.To-1]) & (1<<(6-tail) - 1)
	}
	name := "base64."
	if bytes.ContainsAny(b[g.From:g.To], "-_") {
		name = "base64url."
	}
	g.Form = Form(name + strconv.Itoa(f.From%3) + "." + strconv.Itoa(first) + "." + strconv.Itoa(last))
	return g
}

// isText64 says whether b is of base64's characters.
func isText64(b []byte) bool {
	for _, c := range b {
		if value64(c) < 0 {
			return false
		}
	}
	return true
}

// inPercent is the probe of what p finds, percent-encoded.
func inPercent(p probe) probe {
	text := url.QueryEscape(p.text)
	return probe{text, func(b []byte, at int, final bool) (f Finding, v verdict) {
		if v := matches(b, at, text, final, true); v != yes {
			return f, v
		}
		from := at
		if at >= 3 && b[at-3] == '%' && hexadecimal(b[at-2]) && hexadecimal(b[at-1]) {
			from = at - 3 // what is before tells whether something may begin here
		} else if at > 0 {
			from = at - 1
		}
		plain, ends, to := decodedPercent(b, from)
		before := 0
		if from < at {
			before = 1
		}
		if before >= len(plain) {
			return f, no
		}
		f, v = p.try(plain, before, final || to < len(b))
		if v != yes {
			return f, v
		}
		f.From, f.To, f.Form = at, ends[f.To-1], "percent"
		return f, yes
	}}
}

// decodedPercent decodes b[from:] as far as a secret may go: ends is where in b
// each byte ends, to is how far it read.
func decodedPercent(b []byte, from int) (plain []byte, ends []int, to int) {
	for to = from; to < len(b) && to-from < Most; {
		c, n := b[to], 1
		if c == '%' {
			if to+2 >= len(b) || !hexadecimal(b[to+1]) || !hexadecimal(b[to+2]) {
				if to+2 >= len(b) {
					to = len(b) // the rest may come
				}
				break
			}
			v, _ := strconv.ParseUint(string(b[to+1:to+3]), 16, 8)
			c, n = byte(v), 3
		} else if to > from && (c == '&' || c == '+' || c <= ' ') {
			break
		}
		to += n
		plain, ends = append(plain, c), append(ends, to)
	}
	return plain, ends, to
}
