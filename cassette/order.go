package cassette

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// order sorts is, which are in order of their start, so that two recordings of
// the same program give the same file: what happened one after the other stays
// so, and what overlapped in time goes by what was asked. Equal requests that
// overlapped go by what was answered, then by the shapes of their secrets.
func order(is []*Interaction, shapes map[string]string) []*Interaction {
	var out []*Interaction
	for _, group := range overlapping(is) {
		slices.SortStableFunc(group, func(a, b *Interaction) int {
			return cmp.Or(strings.Compare(a.key.route, b.key.route), comparePairs(a.key.query, b.key.query), bytes.Compare(a.key.sum[:], b.key.sum[:]))
		})
		for len(group) > 0 {
			n := 1
			for n < len(group) && group[n].key.sum == group[0].key.sum {
				n++
			}
			for _, equal := range overlapping(group[:n]) {
				said := map[*Interaction]string{}
				for _, i := range equal {
					said[i] = i.answer() + i.secretShapes(shapes)
				}
				slices.SortStableFunc(equal, func(a, b *Interaction) int { return strings.Compare(said[a], said[b]) })
				out = append(out, equal...)
			}
			group = group[n:]
		}
	}
	return out
}

// secretShapes is what i's secrets look like.
func (i *Interaction) secretShapes(shapes map[string]string) string {
	var b strings.Builder
	i.eachText(func(s string) string {
		_, marks := cutMarks(s)
		for _, m := range marks {
			mark, _ := cutForm(m)
			b.WriteString(shapes[mark] + " ")
		}
		return s
	})
	return b.String()
}

func comparePairs(a, b []pair) int {
	return slices.CompareFunc(a, b, func(x, y pair) int {
		return cmp.Or(strings.Compare(x.name, y.name), strings.Compare(x.value, y.value))
	})
}

// overlapping cuts is, in order of start, where nothing was going on.
func overlapping(is []*Interaction) [][]*Interaction {
	var groups [][]*Interaction
	var end time.Duration
	for n, i := range is {
		if n == 0 || i.start > end {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], i)
		end = max(end, i.end)
	}
	return groups
}

// answer is a digest of what does not vary in i's answer.
func (i *Interaction) answer() string {
	h := sha256.New()
	if f := i.Failure; f != nil {
		put(h, f.Kind)
	}
	if r := i.Response; r != nil {
		put(h, strconv.Itoa(r.Status))
		for _, f := range steady(r.Fields) {
			put(h, f.Name)
			put(h, expand(f.Value, func(string) string { return "*" }))
		}
		sum, err := r.Body.meaning(r.Fields)
		put(h, fmt.Sprint(sum, err, r.End))
		if r.EndCode != 0 {
			put(h, fmt.Sprint(r.EndCode))
		}
	}
	passed := slices.Clone(i.Passed())
	if i.WebSocket != nil { // who spoke first is chance
		slices.SortStableFunc(passed, func(a, b Message) int { return cmp.Compare(a.From, b.From) })
	}
	for _, m := range passed {
		sum, err := m.Body.Sum()
		put(h, fmt.Sprint(m.From, sum, err))
	}
	return string(h.Sum(nil))
}

// volatile says whether a field varies from answer to answer by nature: the
// time, or a number given to the request.
func volatile(name string) bool {
	switch name = strings.ToLower(name); name {
	case "date", "age", "expires", "server-timing", "cf-ray", "x-request-id", "x-correlation-id", "x-trace-id", "x-runtime",
		"x-amzn-requestid", "x-amzn-trace-id", "x-amz-request-id", "x-amz-id-2", "x-amz-cf-id", "x-github-request-id",
		"x-cloud-trace-context", "x-served-by", "x-timer", "x-response-time", "traceparent", "tracestate", "request-id",
		"x-ms-request-id", "apigw-requestid", "sec-websocket-accept", "x-ratelimit-reset", "x-ratelimit-remaining":
		return true
	}
	return strings.HasPrefix(name, "x-b3-") || strings.HasPrefix(name, "x-datadog-")
}

// steady is fields without what varies by nature.
func steady(fields []exchange.Field) []exchange.Field {
	var out []exchange.Field
	for _, f := range fields {
		if volatile(f.Name) {
			continue
		}
		if strings.EqualFold(f.Name, "set-cookie") {
			f.Value = withoutExpiry(f.Value)
		}
		out = append(out, f)
	}
	return out
}

// withoutExpiry is a Set-Cookie value without its Expires date.
func withoutExpiry(v string) string {
	from, to := expiry(v)
	return v[:from] + v[to:]
}

// expiry is where in a Set-Cookie value the date of its Expires attribute is.
func expiry(v string) (from, to int) {
	for at := strings.IndexByte(v, ';'); at >= 0; {
		from = at + 1
		to = len(v)
		if at = strings.IndexByte(v[from:], ';'); at >= 0 {
			at += from
			to = at
		}
		name, date, ok := strings.Cut(v[from:to], "=")
		if ok && strings.EqualFold(strings.TrimSpace(name), "expires") {
			return to - len(strings.TrimLeft(date, " \t")), to
		}
	}
	return 0, 0
}
