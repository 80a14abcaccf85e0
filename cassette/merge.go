package cassette

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"mime"
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
// order of the new recording among themselves. rest says that the old ones stay
// which equal none of the new, but for one that a new one is in the place of: the
// same request with another random value or time.
func (m *merger) merge(olds, news []*Interaction, rest bool) []*Interaction {
	type place struct{ slot, after int }
	slots, counts := map[[32]byte][]int{}, map[[32]byte]int{}
	for n, o := range olds {
		slots[o.key.sum] = append(slots[o.key.sum], n)
		counts[o.key.sum]++
	}
	for _, n := range news {
		m.meet(olds, slots[n.key.sum], n)
	}
	instead := map[kin]int{}
	at := map[*Interaction]place{}
	out := make([]*Interaction, 0, len(news))
	last := place{-1, 0}
	for _, n := range news {
		if free := slots[n.key.sum]; len(free) > 0 {
			k, same := m.pick(olds, free, n)
			last = place{free[k], 0}
			slots[n.key.sum] = slices.Delete(free, k, k+1)
			old := olds[last.slot]
			if same {
				n = old
				m.kept++
			} else {
				n.ID = old.ID
				if n.past = old.src; n.past == nil {
					n.past = old.past
				}
			}
		} else {
			last.after++
			if counts[n.key.sum] == 0 {
				instead[n.key.kin()]++
			}
		}
		at[n] = last
		out = append(out, n)
	}
	for n, o := range olds {
		if !rest || len(slots[o.key.sum]) < counts[o.key.sum] {
			continue
		}
		if k := o.key.kin(); instead[k] > 0 {
			instead[k]--
		} else {
			at[o] = place{n, 0}
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b *Interaction) int {
		return cmp.Or(at[a].slot-at[b].slot, at[a].after-at[b].after)
	})
	return out
}

// A kin is what requests have in common that are the same but for random values
// and times outside of their path.
type kin struct {
	loose [sha256.Size]byte
	route string
}

func (f form) kin() kin { return kin{f.loose, f.route} }

// pickMost is how many old interactions a new one is compared with.
const pickMost = 200

// meet finds out which secrets of the old recording n's are, if that is not
// known, by an old interaction with the same answer: the requests of two users
// come in any order.
func (m *merger) meet(olds []*Interaction, slots []int, n *Interaction) {
	for _, slot := range slots[:min(len(slots), pickMost)] {
		t := m.trial()
		if !t.requests(olds[slot], n) {
			continue
		}
		if len(t.toOld) == 0 {
			return // it is known
		}
		if t.answers(olds[slot], n) {
			t.keep()
			return
		}
	}
}

// pick is which of the free slots n goes to: the first with the same client. It
// says whether what is there is the same but for what varies by nature.
func (m *merger) pick(olds []*Interaction, free []int, n *Interaction) (at int, same bool) {
	for k, slot := range free[:min(len(free), pickMost)] {
		t := m.trial()
		if !sameConnection(olds[slot].Connection, n.Connection) || !t.requests(olds[slot], n) {
			continue
		}
		t.keep() // perhaps another answer, but the same client
		t = m.trial()
		if same = t.answers(olds[slot], n); same {
			t.keep()
		}
		return k, same
	}
	return 0, false
}

// answers compares what two interactions with the same request came to.
func (t *trial) answers(old, n *Interaction) bool {
	if (old.Failure == nil) != (n.Failure == nil) || old.Failure != nil && (old.Failure.Kind != n.Failure.Kind || old.Failure.Code != n.Failure.Code) {
		return false
	}
	if old.Converses() || n.Converses() {
		return t.conversations(old, n)
	}
	return t.responses(old.Response, n.Response) && t.pieces(old.Upgraded, n.Upgraded) && t.sockets(old.WebSocket, n.WebSocket)
}

// pieces says whether the same was said, in the same order.
func (t *trial) pieces(a, b []Message) bool {
	return slices.EqualFunc(a, b, func(a, b Message) bool {
		return a.From == b.From && t.body(content{Body: a.Body}, content{Body: b.Body})
	})
}

// keep makes what t bound count.
func (t *trial) keep() {
	maps.Copy(t.m.toOld, t.toOld)
	maps.Copy(t.m.toNew, t.toNew)
}

func sameConnection(a, b Connection) bool {
	names := slices.Equal(a.Names, b.Names)
	a.Names, b.Names = nil, nil
	return names && a.Scheme == b.Scheme && a.Host == b.Host && a.Port == b.Port && a.Version == b.Version && a.ConnectProtocol == b.ConnectProtocol && a.ALPN == b.ALPN && a.SNI == b.SNI
}

// sameBody says whether a and b mean the same: see meaning.
func sameBody(a, b content) bool {
	x, err := a.meaning(a.fields)
	y, err2 := b.meaning(b.fields)
	return err == nil && err2 == nil && x == y
}

// A trial compares two interactions. What it binds counts only if all is equal.
type trial struct {
	m            *merger
	toOld, toNew map[string]string
}

// trial begins one.
func (m *merger) trial() *trial {
	return &trial{m: m, toOld: map[string]string{}, toNew: map[string]string{}}
}

// requests compares those of two interactions that are equal in canonical form:
// their URLs and bodies are, but perhaps for signatures and boundaries, and for
// which secrets are in them.
func (t *trial) requests(old, n *Interaction) bool {
	a, b := &old.Request, &n.Request
	skip := func(name string) bool {
		return ignoredOrVolatile(name) || strings.EqualFold(name, "content-length") && (a.Body.Size != b.Body.Size || b.Body.marked)
	}
	return t.marks(a.URL, b.URL) && t.text(a.Target, b.Target) && a.Version == b.Version && a.End == b.End && a.EndCode == b.EndCode && t.fields(a.Fields, b.Fields, skip) &&
		t.fields(a.Trailers, b.Trailers, volatile) && (a.RawHead == nil) == (b.RawHead == nil) && t.bodyMarks(content{a.Body, a.Fields}, content{b.Body, b.Fields})
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
	skip := volatile
	if a.Body.Size > 0 { // else it is the length of a body that is not there
		skip = func(name string) bool { return volatile(name) || strings.EqualFold(name, "content-length") }
	}
	return interim && a.Status == b.Status && a.Reason == b.Reason && a.Version == b.Version && a.End == b.End && a.EndCode == b.EndCode &&
		t.fields(a.Fields, b.Fields, skip) && t.fields(a.Trailers, b.Trailers, volatile) &&
		t.bodies(a, b) && (a.RawHead == nil) == (b.RawHead == nil)
}

// fields compares a, of the old recording, and b without those that skip names.
func (t *trial) fields(a, b []exchange.Field, skip func(string) bool) bool {
	out := func(f exchange.Field) bool { return skip(f.Name) }
	a = slices.DeleteFunc(slices.Clone(a), out)
	b = slices.DeleteFunc(slices.Clone(b), out)
	return slices.EqualFunc(a, b, func(x, y exchange.Field) bool {
		switch strings.ToLower(x.Name) {
		case "set-cookie":
			x.Value, y.Value = withoutExpiry(x.Value), withoutExpiry(y.Value)
		case "content-type":
			x.Value, y.Value = withoutBoundary(x.Value), withoutBoundary(y.Value)
		}
		return x.Name == y.Name && t.text(x.Value, y.Value)
	})
}

// withoutBoundary is a Content-Type value without the boundary of its parts,
// which programs make up for every message.
func withoutBoundary(v string) string {
	if media, params, err := mime.ParseMediaType(v); err == nil && params["boundary"] != "" {
		delete(params, "boundary")
		return mime.FormatMediaType(media, params)
	}
	return v
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
