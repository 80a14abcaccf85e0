package foreign

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// mapping is a YAML object of pairs of a key and a string, a number or a node.
func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Content = append(n.Content, scalar(pairs[i].(string)), nodeOf(pairs[i+1]))
	}
	return n
}

// nodeOf is v as YAML.
func nodeOf(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)}
	case string:
		return scalar(v)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
}

// scalar is s as text, in base64 if it is none.
func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s) // !!binary if it is not UTF-8
	if utf8.ValidString(s) {
		n.Style = yaml.DoubleQuotedStyle // it stays text whatever it looks like
	}
	return n
}

// headerNode is fields as both tools have them: a name, and the list of its
// values.
func headerNode(fields []exchange.Field) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	at := map[string]*yaml.Node{}
	for _, f := range fields {
		l := at[strings.ToLower(f.Name)]
		if l == nil {
			l = &yaml.Node{Kind: yaml.SequenceNode}
			at[strings.ToLower(f.Name)] = l
			n.Content = append(n.Content, scalar(f.Name), l)
		}
		l.Content = append(l.Content, scalar(shown(f.Value)))
	}
	return n
}

// A taped is an interaction with its bodies, for tools that know whole exchanges
// only.
type taped struct {
	*cassette.Interaction
	asked, answered []byte
	reason          string
}

// eachAnswered calls f with every interaction that has an answer and goes no
// further.
func (x *export) eachAnswered(f func(t taped)) error {
	return x.each(func(_ int, i *cassette.Interaction) error {
		if i.Response == nil || len(i.Passed()) > 0 {
			x.note(i, "failures and upgraded streams are not carried")
			return nil
		}
		r := i.Response
		if len(r.Trailers) > 0 || len(r.Informational) > 0 || r.End != exchange.Complete {
			x.note(i, "trailers, 1xx answers and cut answers are not carried")
		}
		t := taped{Interaction: i, reason: r.Reason}
		if t.reason == "" {
			t.reason = http.StatusText(r.Status)
		}
		var err error
		if t.asked, err = x.bytes(i, i.Request.Body); err != nil {
			return err
		}
		if t.answered, err = x.bytes(i, r.Body); err != nil {
			return err
		}
		f(t)
		return nil
	})
}

// encodeYAML writes root.
func encodeYAML(w io.Writer, root *yaml.Node) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return err
	}
	return enc.Close()
}

// writeVCR writes a cassette of Ruby's VCR. Its bodies are as they passed.
func writeVCR(w io.Writer, x *export) error {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	body := func(b []byte) *yaml.Node {
		encoding := "UTF-8"
		if !utf8.Valid(b) {
			encoding = "ASCII-8BIT"
		}
		return mapping("encoding", encoding, "string", string(b))
	}
	err := x.eachAnswered(func(t taped) {
		at := x.c.RecordedAt.Add(t.Timing.Start)
		list.Content = append(list.Content, mapping(
			"request", mapping("method", strings.ToLower(t.Request.Method), "uri", t.Request.URL, "body", body(t.asked), "headers", headerNode(t.Request.Fields)),
			"response", mapping("status", mapping("code", t.Response.Status, "message", t.reason), "headers", headerNode(t.Response.Fields), "body", body(t.answered), "http_version", nil),
			"recorded_at", at.UTC().Format(http.TimeFormat)))
	})
	if err != nil {
		return err
	}
	return encodeYAML(w, mapping("http_interactions", list, "recorded_with", "serge-net "+cassette.Version))
}

// writeVCRpy writes a cassette of vcrpy. Its bodies stand without content coding:
// whether vcrpy hands a coded one out as it is depends on its version.
func writeVCRpy(w io.Writer, x *export) error {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	err := x.eachAnswered(func(t taped) {
		var asked any = string(t.asked)
		if len(t.asked) == 0 {
			asked = nil
		}
		answered, fields := t.answered, t.Response.Fields
		if plain, ok := cassette.Decoded(answered, coding(fields), plainMost); ok && coding(fields) != "" {
			answered, fields = plain, without(without(fields, "content-encoding"), "content-length")
			x.note(t.Interaction, "a body's content coding is not carried: it stands decoded")
		}
		list.Content = append(list.Content, mapping(
			"request", mapping("body", asked, "headers", headerNode(t.Request.Fields), "method", t.Request.Method, "uri", t.Request.URL),
			"response", mapping("body", mapping("string", string(answered)), "headers", headerNode(fields),
				"status", mapping("code", t.Response.Status, "message", t.reason))))
	})
	if err != nil {
		return err
	}
	return encodeYAML(w, mapping("interactions", list, "version", 1))
}
