package foreign

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// A script is a form that a cassette can be written in.
type script struct {
	name  string
	write func(w io.Writer, x *export) error
}

func scripts() []script {
	return []script{
		{"har", writeHAR}, {"wiremock", writeWireMock}, {"vcr", writeVCR}, {"vcrpy", writeVCRpy}, {"curl", writeCurl}, {"k6", writeK6}, {"markdown", writeMarkdown}, {"pcapng", writePcapng},
	}
}

// Targets are the names of the forms that Write knows.
func Targets() []string {
	var names []string
	for _, s := range scripts() {
		names = append(names, s.name)
	}
	return names
}

// Write writes c to w in the form called target, one of Targets. It returns what
// could not be carried. done, if it is not nil, is called after each interaction
// with how many were written.
func Write(w io.Writer, c *cassette.Cassette, target string, done func(n int)) ([]Note, error) {
	i := slices.IndexFunc(scripts(), func(s script) bool { return s.name == target })
	if i < 0 {
		return nil, fmt.Errorf("%q: %w", target, ErrFormat)
	}
	x := &export{c: c, done: done}
	if err := scripts()[i].write(w, x); err != nil {
		return nil, fmt.Errorf("export %s as %s: %w", c.Name, target, err)
	}
	if len(c.DNS) > 0 && target != "pcapng" {
		x.notes = append(x.notes, Note{"DNS answers are not carried", "the cassette", len(c.DNS)})
	}
	return x.notes, nil
}

// An export is a cassette while it is written.
type export struct {
	c     *cassette.Cassette
	done  func(n int)
	notes []Note
	raw   bool // the form has conversations, which are no HTTP
}

// note says that something of i was not carried.
func (x *export) note(i *cassette.Interaction, what string) {
	for n := range x.notes {
		if x.notes[n].What == what {
			x.notes[n].Count++
			return
		}
	}
	x.notes = append(x.notes, Note{what, i.ID, 1})
}

// each calls f with every interaction in order.
func (x *export) each(f func(n int, i *cassette.Interaction) error) error {
	for n, i := range x.c.Interactions {
		if i.Converses() && !x.raw {
			x.note(i, "a conversation that is no HTTP is not carried")
		} else if err := f(n, i); err != nil {
			return fmt.Errorf("interaction %s: %w", i.ID, err)
		}
		if x.done != nil {
			x.done(n + 1)
		}
	}
	return nil
}

// bodyMost is how large a body may be, in bytes, that is written.
const bodyMost = 64 << 20

// bytes is b whole.
func (x *export) bytes(i *cassette.Interaction, b cassette.Body) ([]byte, error) {
	if b.Size > bodyMost {
		x.note(i, fmt.Sprintf("a body of over %d MiB is left out", bodyMost>>20))
		return nil, nil
	}
	r, err := b.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, bodyMost))
}

// readable is b without the content coding that fields name, and whether it is
// text. Of a coding that we do not undo it is b.
func readable(b []byte, fields []exchange.Field) ([]byte, bool) {
	if out, ok := cassette.Decoded(b, coding(fields), plainMost); ok {
		b = out
	}
	return b, textual(b)
}

// stays is a placeholder as it is.
func stays(placeholder string) string { return placeholder }

// shown is a field's value as it passed, with placeholders for secrets.
func shown(value string) string { return strings.ToValidUTF8(cassette.Expand(value, stays), "\uFFFD") }

// variable is the environment variable that a script takes a secret from:
// {{secret:auth#1}} is AUTH_1.
func variable(placeholder string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(placeholder, "{{secret:"), "}}")
	return strings.ToUpper(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, name))
}

// spliced is value as text and secrets in turn, each made what text and secret
// make of it.
func spliced(value string, text, secret func(string) string) []string {
	const cut = "\x00" // in no field's value
	var marks []string
	plain := cassette.Expand(value, func(p string) string { marks = append(marks, p); return cut })
	var out []string
	for n, piece := range strings.Split(plain, cut) {
		if n > 0 && n <= len(marks) {
			out = append(out, secret(variable(marks[n-1])))
		}
		if piece != "" {
			out = append(out, text(piece))
		}
	}
	return out
}

// variables are those that x's requests take, sorted.
func (x *export) variables() []string {
	seen := map[string]bool{}
	for _, i := range x.c.Interactions {
		for _, f := range i.Request.Fields {
			cassette.Expand(f.Value, func(p string) string { seen[variable(p)] = true; return "" })
		}
	}
	var out []string
	for v := range seen {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// asked are the fields of a request that a client does not make by itself.
func asked(i *cassette.Interaction) []exchange.Field {
	return slices.DeleteFunc(slices.Clone(i.Request.Fields), func(f exchange.Field) bool {
		switch strings.ToLower(f.Name) {
		case "host", "content-length", "transfer-encoding", "connection", "proxy-connection", "keep-alive", "te", "upgrade", "http2-settings", "expect":
			return true
		}
		return strings.HasPrefix(f.Name, ":")
	})
}

// hostOf is the authority that i went to.
func hostOf(i *cassette.Interaction) string {
	_, rest, _ := strings.Cut(i.Request.URL, "://")
	if n := strings.IndexAny(rest, "/?"); n >= 0 {
		rest = rest[:n]
	}
	return rest
}

// targetOf is the path and query of i.
func targetOf(i *cassette.Interaction) string {
	_, rest, _ := strings.Cut(i.Request.URL, "://")
	if n := strings.IndexAny(rest, "/?"); n >= 0 {
		return rest[n:]
	}
	return "/"
}
