package cassette

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// A merger makes a new recording over an old one a small diff.
type merger struct {
	toOld, toNew map[string]string // placeholders of the new recording and of the old
	kept         int
}

// merge returns news in the order of olds. Where only what varies by nature
// differs, the old interaction stays, to the byte. Equal requests keep the
// order of the new recording among themselves.
func (m *merger) merge(olds, news []*Interaction) []*Interaction {
	type place struct{ slot, after int }
	slots := map[[32]byte][]int{}
	for n, o := range olds {
		slots[o.key.sum] = append(slots[o.key.sum], n)
	}
	at := map[*Interaction]place{}
	out := make([]*Interaction, 0, len(news))
	last := place{-1, 0}
	for _, n := range news {
		if free := slots[n.key.sum]; len(free) > 0 {
			slots[n.key.sum] = free[1:]
			last = place{free[0], 0}
			old := olds[free[0]]
			if m.equal(old, n) {
				n = old
				m.kept++
			} else {
				n.ID = old.ID
			}
		} else {
			last.after++
		}
		at[n] = last
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b *Interaction) int {
		return cmp.Or(at[a].slot-at[b].slot, at[a].after-at[b].after)
	})
	return out
}

// equal says whether old and n are the same but for what varies by nature. If
// so, their placeholders stand for the same secrets from then on.
func (m *merger) equal(old, n *Interaction) bool {
	t := trial{m: m, toOld: map[string]string{}, toNew: map[string]string{}}
	if !sameConnection(old.Connection, n.Connection) || !t.requests(&old.Request, &n.Request) {
		return false
	}
	if !t.responses(old.Response, n.Response) {
		t.keep() // another answer, but the same client
		return false
	}
	if (old.Failure == nil) != (n.Failure == nil) || old.Failure != nil && old.Failure.Kind != n.Failure.Kind {
		return false
	}
	same := slices.EqualFunc(old.Upgraded, n.Upgraded, func(a, b Message) bool { return a.From == b.From && t.body(a.Body, b.Body) })
	if same {
		t.keep()
	}
	return same
}

// keep makes what t bound count.
func (t *trial) keep() {
	maps.Copy(t.m.toOld, t.toOld)
	maps.Copy(t.m.toNew, t.toNew)
}

func sameConnection(a, b Connection) bool {
	names := slices.Equal(a.Names, b.Names)
	a.Names, b.Names = nil, nil
	return names && a.Scheme == b.Scheme && a.Host == b.Host && a.Port == b.Port && a.Version == b.Version && a.ALPN == b.ALPN && a.SNI == b.SNI
}

func sameBody(a, b Body) bool {
	if a.Size != b.Size {
		return false
	}
	x, err := a.Sum()
	y, err2 := b.Sum()
	return err == nil && err2 == nil && x == y
}

// A trial compares two interactions. What it binds counts only if all is equal.
type trial struct {
	m            *merger
	toOld, toNew map[string]string
}

func (t *trial) requests(a, b *Request) bool {
	return a.Method == b.Method && t.text(a.URL, b.URL) && t.text(a.Target, b.Target) && a.Version == b.Version &&
		t.fields(a.Fields, b.Fields, ignoredOrVolatile) && t.fields(a.Trailers, b.Trailers, volatile) &&
		t.body(a.Body, b.Body) && a.End == b.End && (a.RawHead == nil) == (b.RawHead == nil)
}

// ignoredOrVolatile are the request's fields that trace it or date it.
func ignoredOrVolatile(name string) bool {
	switch strings.ToLower(name) {
	case "traceparent", "tracestate", "b3", "baggage", "sentry-trace", "idempotency-key", "x-idempotency-key", "x-amz-date", "sec-websocket-key":
		return true
	}
	return volatile(name)
}

func (t *trial) responses(a, b *Response) bool {
	if a == nil || b == nil {
		return a == b
	}
	interim := slices.EqualFunc(a.Informational, b.Informational, func(x, y Interim) bool {
		return x.Status == y.Status && t.fields(x.Fields, y.Fields, volatile)
	})
	return interim && a.Status == b.Status && a.Reason == b.Reason && a.Version == b.Version && a.End == b.End &&
		t.fields(a.Fields, b.Fields, volatile) && t.fields(a.Trailers, b.Trailers, volatile) &&
		t.body(a.Body, b.Body) && (a.RawHead == nil) == (b.RawHead == nil)
}

// fields compares a, of the old recording, and b without those that skip names.
func (t *trial) fields(a, b []exchange.Field, skip func(string) bool) bool {
	out := func(f exchange.Field) bool { return skip(f.Name) }
	a = slices.DeleteFunc(slices.Clone(a), out)
	b = slices.DeleteFunc(slices.Clone(b), out)
	return slices.EqualFunc(a, b, func(x, y exchange.Field) bool {
		if strings.EqualFold(x.Name, "set-cookie") {
			x.Value, y.Value = withoutExpiry(x.Value), withoutExpiry(y.Value)
		}
		return x.Name == y.Name && t.text(x.Value, y.Value)
	})
}

// body compares bodies; marked ones as text.
func (t *trial) body(a, b Body) bool {
	if !a.marked || !b.marked {
		return a.marked == b.marked && sameBody(a, b)
	}
	x, ok, err := a.Whole()
	y, ok2, err2 := b.Whole()
	if !ok || !ok2 || err != nil || err2 != nil {
		return sameBody(a, b)
	}
	return a.coding == b.coding && t.text(string(x), string(y))
}

// text compares text in the cassette's form, with placeholders bound one to one.
func (t *trial) text(a, b string) bool {
	ta, ma := cutMarks(a)
	tb, mb := cutMarks(b)
	if !slices.Equal(ta, tb) {
		return false
	}
	for i := range ma {
		if !t.bind(ma[i], mb[i]) {
			return false
		}
	}
	return true
}

// bind takes two placeholders for the same secret, if nothing contradicts that.
func (t *trial) bind(old, n string) bool {
	old, oldForm := cutForm(old)
	n, form := cutForm(n)
	if form != oldForm {
		return false
	}
	if classOf(old) != classOf(n) {
		return false
	}
	bound := cmp.Or(t.m.toOld[n], t.toOld[n])
	back := cmp.Or(t.m.toNew[old], t.toNew[old])
	if bound != "" || back != "" {
		return bound == old && back == n
	}
	t.toOld[n], t.toNew[old] = old, n
	return true
}

// cutMarks cuts s at its placeholders.
func cutMarks(s string) (texts, marks []string) {
	for {
		i := strings.Index(s, secretOpen)
		n := -1
		if i >= 0 {
			n = strings.Index(s[i:], secretClose)
		}
		if n < 0 {
			return append(texts, s), marks
		}
		end := i + n + len(secretClose)
		texts, marks = append(texts, s[:i]), append(marks, s[i:end])
		s = s[end:]
	}
}

// replaceMarks is s with its placeholders renamed.
func replaceMarks(s string, name func(string) string) string {
	texts, marks := cutMarks(s)
	var b strings.Builder
	for i, t := range texts {
		b.WriteString(t)
		if i < len(marks) {
			mark, form := cutForm(marks[i])
			b.WriteString(inForm(name(mark), form))
		}
	}
	return b.String()
}
