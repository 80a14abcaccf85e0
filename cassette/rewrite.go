package cassette

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// answered is i as l gets it: in its answer, what was bound stands for what was
// recorded, and a JSON-RPC answer has the id of the live call. ids are those of
// the calls. It is i itself if nothing of that is in it.
func (p *Player) answered(l *live, i *Interaction, ids []string) (*Interaction, error) {
	r := i.Response
	if r == nil {
		return i, nil
	}
	to := p.bound()
	calls, err := p.calls(i, ids)
	if err != nil || to == nil && calls == nil {
		return i, err
	}
	res := *r
	if to != nil {
		res.Fields, res.Trailers = mapFields(r.Fields, to), mapFields(r.Trailers, to)
		if r.RawHead != nil {
			res.RawHead = []byte(mapTokens(string(r.RawHead), to))
		}
		res.Informational = slices.Clone(r.Informational)
		for n, m := range res.Informational {
			res.Informational[n].Fields = mapFields(m.Fields, to)
		}
	}
	if err := res.remap(to, calls); err != nil {
		return nil, err
	}
	out := *i
	out.Response = &res
	return &out, nil
}

// bound tells what stands for a random value of the recording, nil if each stands
// for itself.
func (p *Player) bound() func(string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == 0 || p.rules.off.has(lawSubstitute) {
		return nil
	}
	return func(u string) (string, bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		v, ok := p.names[u]
		return v, ok && u != v
	}
}

// calls are the recorded ids of JSON-RPC calls with the live ones, nil if they
// are the same.
func (p *Player) calls(i *Interaction, ids []string) (map[string]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	f, err := p.rules.formOf(&i.Request)
	if err != nil || len(f.ids) != len(ids) || slices.Equal(f.ids, ids) {
		return nil, err
	}
	m := map[string]string{}
	for n, id := range f.ids {
		m[id] = ids[n]
	}
	return m, nil
}

func mapFields(fs []exchange.Field, to func(string) (string, bool)) []exchange.Field {
	out := slices.Clone(fs)
	for i := range out {
		out[i].Value = mapTokens(out[i].Value, to)
	}
	return out
}

// remap changes the body of r, which is a copy: random values by to, ids of
// JSON-RPC answers by calls. A body over 1 MiB stays as it is.
func (r *Response) remap(to func(string) (string, bool), calls map[string]string) error {
	how := coding(r.Fields)
	plain, ok, err := r.Body.text(how)
	if err != nil || !ok || len(plain) == 0 {
		return err
	}
	text := string(plain)
	if calls != nil {
		text = withIDs(text, calls)
	}
	if to != nil {
		text = mapTokens(text, to)
	}
	if text == string(plain) {
		return nil
	}
	r.Body, err = r.Body.with([]byte(text), how)
	return err
}

// withIDs is a JSON-RPC answer, a batch of them, or a stream of events with
// answers, with its ids replaced.
func withIDs(text string, calls map[string]string) string {
	if n, err := parseTree([]byte(text)); err == nil {
		return spliceIDs(text, n, calls)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			core := strings.TrimSpace(data)
			if n, err := parseTree([]byte(core)); err == nil {
				at := strings.Index(data, core)
				line = "data:" + data[:at] + spliceIDs(core, n, calls) + data[at+len(core):]
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

// spliceIDs is text, which n was read from, with the ids of the answers in n
// replaced. All else stays as it is written.
func spliceIDs(text string, n *node, calls map[string]string) string {
	answers := []*node{n}
	if n.kind == '[' {
		answers = n.kids
	}
	changed := false
	for _, a := range answers {
		if id := a.get("id"); id != nil && a.get("jsonrpc").isString() && a.get("method") == nil {
			if to, ok := calls[id.tok]; ok && to != id.tok {
				id.tok, changed = to, true
			}
		}
	}
	if !changed {
		return text
	}
	if v, st := jsonView([]byte(text)); v != nil {
		if b, err := printView(n, st); err == nil {
			return string(b)
		}
	}
	return n.compact()
}

// answerTokens are the random values in what i was answered.
func (i *Interaction) answerTokens() []string {
	r := i.Response
	if r == nil {
		return nil
	}
	var out []string
	add := func(s string) {
		for t := nextToken(s, 0); t.shape != ""; t = nextToken(s, t.to) {
			out = append(out, tokenKey(s[t.from:t.to], t.shape))
		}
	}
	for _, fs := range [][]exchange.Field{r.Fields, r.Trailers} {
		for _, f := range fs {
			add(f.Value)
		}
	}
	for _, m := range i.Passed() {
		if m.From == exchange.Server {
			eachPiece(m.Body, "", add)
		}
	}
	eachPiece(r.Body, coding(r.Fields), add)
	return out
}

// overlap is how much of a piece of a large body is looked at again with the next:
// more than any random value but a long JWT has.
const overlap = 4 << 10

// eachPiece gives a body, its coding undone if it can be, to add: whole, or if it
// is large in pieces that overlap. One that cannot be read has nothing in it.
func eachPiece(b Body, how string, add func(string)) {
	if data, ok, err := b.Whole(); ok && err == nil {
		if plain, ok := Decoded(data, b.wired(how), wholeMost); ok {
			data = plain
		}
		add(string(data))
		return
	}
	f, err := b.Open()
	if err != nil {
		return
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	buf := make([]byte, 0, 1<<20)
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		add(string(buf))
		if err != nil || errors.Is(err, io.EOF) {
			return
		}
		keep := copy(buf, buf[len(buf)-overlap:])
		buf = buf[:keep]
	}
}
