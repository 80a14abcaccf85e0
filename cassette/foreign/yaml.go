package foreign

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlMost bounds how many values a YAML file may unfold to: aliases can make
// much of little.
const yamlMost = 10_000_000

// A yamlReader makes a tree of YAML.
type yamlReader struct{ left int }

func parseYAML(b []byte) (*value, error) {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: a second YAML document follows", max(more.Line, 1))
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("is empty")
	}
	// A file of few bytes that unfolds to very many values is a bomb.
	r := &yamlReader{left: min(yamlMost, 1000+10*len(b))}
	return r.value(doc.Content[0], 0)
}

// value makes n a value. Tags that stand for objects of a program are refused.
func (r *yamlReader) value(n *yaml.Node, depth int) (*value, error) {
	v := &value{pos: n.Line, unit: "line"}
	if r.left--; r.left < 0 || depth > deepest {
		return nil, v.fault("nested deeper than %d, or aliases that unfold to far more than is in the file", deepest)
	}
	if n.Kind == yaml.AliasNode {
		return r.value(n.Alias, depth+1)
	}
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.MappingNode && tag == "!!map":
		v.kind = '{'
		return v, r.members(v, n, depth)
	case n.Kind == yaml.SequenceNode && tag == "!!seq":
		v.kind = '['
		return v, r.elements(v, n.Content, depth)
	case n.Kind != yaml.ScalarNode:
		return nil, v.fault("the tag %s stands for an object of a program: refused", tag)
	case tag == "!!binary" || tag == "!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, v.fault("binary: %v", err)
		}
		v.kind, v.text = 's', string(b)
	case tag == "!!null":
		v.kind = 'z'
	case tag == "!!bool":
		v.kind, v.text = 'b', strings.ToLower(n.Value)
	case tag == "!!int" || tag == "!!float":
		v.kind, v.text = 'n', n.Value
	case tag == "!!str" || tag == "!!timestamp" || tag == "!!merge":
		v.kind, v.text = 's', n.Value
	default:
		return nil, v.fault("the tag %s stands for an object of a program: refused", tag)
	}
	return v, nil
}

func (r *yamlReader) members(v *value, n *yaml.Node, depth int) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		v.keys = append(v.keys, n.Content[i].Value)
		if err := r.elements(v, n.Content[i+1:i+2], depth); err != nil {
			return err
		}
	}
	return nil
}

func (r *yamlReader) elements(v *value, nodes []*yaml.Node, depth int) error {
	for _, n := range nodes {
		k, err := r.value(n, depth+1)
		if err != nil {
			return err
		}
		v.kids = append(v.kids, k)
	}
	return nil
}

// erb is how a Ruby template in a VCR cassette begins.
var erb = regexp.MustCompile(`<%[=#\-]?\s`)

// refuseTemplates is an error at the first text in v that VCR would evaluate.
func refuseTemplates(v *value) error {
	if erb.MatchString(v.text) {
		return v.fault("ERB (<%%) is code and is not evaluated: have VCR write the cassette without it")
	}
	for _, k := range v.kids {
		if err := refuseTemplates(k); err != nil {
			return err
		}
	}
	return nil
}
