package cassette

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// shiftDates moves the dates in h by the time that has passed since it was
// recorded, so that what was fresh then is fresh now. When that was, the
// answer's own Date tells best: an interaction may be older than its cassette.
// Last-Modified stays: clients send it back.
func shiftDates(h *exchange.Head, recorded, now time.Time) {
	if v, ok := exchange.Get(h.Fields, "date"); ok {
		if t, _, ok := parseDate(v); ok {
			recorded = t
		}
	}
	if recorded.IsZero() {
		return
	}
	by := now.Sub(recorded).Truncate(time.Second)
	for i, f := range h.Fields {
		switch name := strings.ToLower(f.Name); name {
		case "date", "expires", "retry-after":
			replaceValue(h, i, shifted(f.Value, recorded, by))
		case "set-cookie":
			from, to := expiry(f.Value)
			replaceValue(h, i, f.Value[:from]+shifted(f.Value[from:to], recorded, by)+f.Value[to:])
		}
	}
}

// replaceValue changes the value of h's i-th field, in its raw form too.
func replaceValue(h *exchange.Head, i int, v string) {
	was := h.Fields[i].Value
	if v == was {
		return
	}
	h.Fields[i].Value = v
	nth := 0
	for _, f := range h.Fields[:i] {
		if strings.EqualFold(f.Name, h.Fields[i].Name) {
			nth++
		}
	}
	h.Raw = replaceLine(h.Raw, h.Fields[i].Name, nth, was, v)
}

// replaceLine is raw, the lines of a head, with was replaced by v in the nth line
// of name, from 0: other fields may have the same value.
func replaceLine(raw []byte, name string, nth int, was, v string) []byte {
	var out []byte
	for line := range bytes.Lines(raw) {
		if n, _, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(strings.TrimSpace(string(n)), name) {
			if nth == 0 {
				line = bytes.Replace(line, []byte(was), []byte(v), 1)
			}
			nth--
		}
		out = append(out, line...)
	}
	return out
}

// shifted is the date v moved, in the form it has. What is no date, or was
// over when it was sent, like the past that deletes a cookie, stays.
func shifted(v string, recorded time.Time, by time.Duration) string {
	t, form, ok := parseDate(v)
	if !ok || t.Before(recorded) {
		return v
	}
	return t.Add(by).Format(form)
}

// parseDate reads v in one of the forms that HTTP and cookies use, and says which.
func parseDate(v string) (time.Time, string, bool) {
	for _, form := range []string{http.TimeFormat, "Mon, 02-Jan-2006 15:04:05 GMT", "Mon, 02-Jan-06 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.ParseInLocation(form, v, time.UTC); err == nil {
			return t.UTC(), form, true
		}
	}
	return time.Time{}, "", false
}
