package cassette

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette/secret"
	"github.com/serge-net/serge-net/exchange"
)

// Secrets finds what r says is a secret in the cassette called name, in the order
// of the file. Nothing is changed. If there is no such cassette, the error is
// fs.ErrNotExist.
func (s *Store) Secrets(name string, r Redaction) ([]Finding, error) {
	c, err := s.Load(name)
	if err != nil {
		return nil, err
	}
	cl := newCleansing(c, r)
	if err := cl.all(); err != nil {
		return nil, fmt.Errorf("look for secrets in %s: %w", s.Path(name), err)
	}
	return cl.found, nil
}

// Redact puts placeholders in the place of what r says is a secret in the cassette
// called name, and returns what it replaced. If there is none, the error is
// fs.ErrNotExist; while it is being recorded, ErrBusy. A recording that was cut
// off is recovered first.
func (s *Store) Redact(name string, r Redaction) ([]Finding, error) {
	if _, err := s.Load(name); err != nil { // before a journal, which is the lock, is made
		return nil, err
	}
	var found []Finding
	err := s.locked(name, func() (err error) {
		found, err = s.redact(name, r)
		return err
	})
	return found, err
}

// redact is Redact while nobody records.
func (s *Store) redact(name string, r Redaction) ([]Finding, error) {
	c, err := s.Load(name)
	if err != nil {
		return nil, err
	}
	had := c.files()
	cl := newCleansing(c, r)
	if err := cl.all(); err != nil {
		return nil, fmt.Errorf("redact %s: %w", s.Path(name), err)
	}
	if len(cl.found) == 0 {
		return nil, nil
	}
	root, err := s.opened()
	if err != nil {
		return nil, err
	}
	co := &compaction{store: s, root: root, of: name, name: name, box: c.box, had: had}
	defer co.sweep()
	if err := co.commit(c); err != nil {
		return nil, fmt.Errorf("write cassette %s: %w", s.Path(name), err)
	}
	return cl.found, nil
}

// A cleansing takes secrets out of a cassette that was recorded with them.
type cleansing struct {
	c     *Cassette
	hide  *hider
	marks map[string]string // by value
	last  map[string]int    // number given, by class
	at    string            // a JSON pointer to what is looked at
	id    string            // of its interaction
	found []Finding
}

func newCleansing(c *Cassette, r Redaction) *cleansing {
	cl := &cleansing{c: c, marks: map[string]string{}, last: map[string]int{}}
	cl.hide = r.hider(cl.mark)
	for m := range c.shapes {
		class, n := classOf(m), 0
		_, _ = fmt.Sscanf(m[strings.IndexByte(m, '#')+1:], "%d", &n)
		cl.last[class] = max(cl.last[class], n)
	}
	return cl
}

// mark is the placeholder of a secret that was found.
func (cl *cleansing) mark(class, value string) string {
	cl.found = append(cl.found, Finding{At: cl.at, ID: cl.id, Problem: "holds a secret: " + class})
	m, ok := cl.marks[value]
	if !ok {
		cl.last[class]++
		m = placeholder(class, cl.last[class])
		cl.marks[value], cl.c.shapes[m] = m, shapeOf(value)
		cl.hide.set.Learn(secret.Known{Class: class, Value: value})
	}
	return m
}

// all goes through the cassette.
func (cl *cleansing) all() error {
	for n, i := range cl.c.Interactions {
		cl.id = i.ID
		if err := cl.interaction("/interactions/"+strconv.Itoa(n), i); err != nil {
			return fmt.Errorf("interaction %s: %w", i.ID, err)
		}
	}
	cl.id = ""
	for n := range cl.c.DNS {
		d := &cl.c.DNS[n]
		cl.at = "/interactions/" + strconv.Itoa(len(cl.c.Interactions)+n) + "/dns"
		was := d.question()
		d.Name, d.Answers, d.Authority, d.Additional = cl.hide.around(d.Name), cl.hide.all(d.Answers), cl.hide.all(d.Authority), cl.hide.all(d.Additional)
		if src := cl.c.asked[was]; src != nil {
			cl.c.asked[d.question()] = cl.rest(dnsPlace(), src, strings.TrimSuffix(cl.at, "/dns"))
		}
	}
	cl.tops()
	return nil
}

// interaction goes through i, which is at the JSON pointer at.
func (cl *cleansing) interaction(at string, i *Interaction) error {
	if err := cl.parts(at, i); err != nil {
		return err
	}
	i.refit()
	i.src = cl.rest(interactionPlace(), i.src, at)
	return i.rekey(rules{})
}

func (cl *cleansing) parts(at string, i *Interaction) error {
	r := &i.Request
	cl.text(at+"/request/url", &r.URL)
	cl.text(at+"/request/target", &r.Target)
	cl.raw(at+"/request/raw_head", &r.RawHead)
	cl.fields(at+"/request", r.Fields, r.Trailers)
	if err := cl.message(at+"/request", &r.Message, coding(r.Fields)); err != nil {
		return err
	}
	if e := i.Failure; e != nil {
		cl.text(at+"/error/cause", &e.Cause)
		cl.raw(at+"/error/raw", &e.Raw)
	}
	if r := i.Response; r != nil {
		cl.text(at+"/response/reason", &r.Reason)
		cl.raw(at+"/response/raw_head", &r.RawHead)
		cl.fields(at+"/response", r.Fields, r.Trailers)
		for n, m := range r.Informational {
			cl.fields(at+"/response/informational/"+strconv.Itoa(n), m.Fields, nil)
		}
		if err := cl.message(at+"/response", &r.Message, coding(r.Fields)); err != nil {
			return err
		}
	}
	member, said := i.said()
	for n, m := range said {
		if err := cl.message(at+"/"+member+"/messages/"+strconv.Itoa(n), m, ""); err != nil {
			return err
		}
	}
	if w := i.WebSocket; w != nil && w.Close != nil {
		cl.text(at+"/websocket/close_frame/reason", &w.Close.Reason)
		cl.text(at+"/websocket/close_frame/reply/reason", &w.Close.ReplyReason)
	}
	return nil
}

// text looks at s, which is in the cassette's form.
func (cl *cleansing) text(at string, s *string) {
	cl.at = at
	if got := cl.hide.around(*s); got != *s {
		*s = got
	}
}

func (cl *cleansing) raw(at string, b *[]byte) {
	cl.at = at
	if len(*b) > 0 {
		*b = cl.hide.rawAgain(*b)
	}
}

func (cl *cleansing) fields(at string, headers, trailers []exchange.Field) {
	for _, l := range []struct {
		key string
		fs  []exchange.Field
	}{{"/headers/", headers}, {"/trailers/", trailers}} {
		for n := range l.fs {
			cl.at = at + l.key + strconv.Itoa(n)
			f := &l.fs[n]
			f.Value = cl.hide.fieldAgain(f.Name, f.Value)
		}
	}
}

func (cl *cleansing) message(at string, m *Message, coding string) (err error) {
	cl.raw(at+"/raw_end", &m.RawEnd)
	for n, l := range m.Lines {
		cl.raw(at+"/body/chunk_ext", &l)
		m.Lines[n] = l
	}
	cl.at = at + "/body"
	m.Body, err = cl.hide.body(m.Body, coding)
	return err
}
