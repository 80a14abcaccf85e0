package cassette

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// isXML says whether media type m is XML.
func isXML(m string) bool {
	return m == "text/xml" || m == "application/xml" || strings.HasSuffix(m, "+xml")
}

// xmlMost is how deep an XML body may be to be compared by what it holds.
const xmlMost = 100

// xml tells an XML body: elements with their attributes by name, and text. White
// space between elements, comments and the declaration do not count. If it is
// not XML, nothing is told and the result is false.
func (d *reader) xml(b []byte) bool {
	var out []atom
	x := xml.NewDecoder(bytes.NewReader(b))
	x.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	var path []string // where we are
	var kids []int    // how many elements each of path has
	kids = append(kids, 0)
	for {
		t, err := x.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(path) > xmlMost {
			return false
		}
		at := "body.xml/" + strings.Join(path, "/")
		switch t := t.(type) {
		case xml.StartElement:
			name := qualified(t.Name)
			path = append(path, name+"["+strconv.Itoa(kids[len(kids)-1])+"]")
			kids[len(kids)-1]++
			kids = append(kids, 0)
			at = "body.xml/" + strings.Join(path, "/")
			out = append(out, atom{at, "", '<'})
			slices.SortStableFunc(t.Attr, func(a, b xml.Attr) int { return strings.Compare(qualified(a.Name), qualified(b.Name)) })
			for _, a := range t.Attr {
				out = append(out, atom{at + "/@" + qualified(a.Name), a.Value, 0})
			}
		case xml.EndElement:
			if len(path) == 0 || !strings.HasPrefix(path[len(path)-1], qualified(t.Name)+"[") {
				return false
			}
			path, kids = path[:len(path)-1], kids[:len(kids)-1]
		case xml.CharData:
			if text := string(t); strings.TrimSpace(text) != "" {
				out = append(out, atom{at, text, 0})
			}
		}
	}
	if len(path) > 0 || len(out) == 0 {
		return false
	}
	for _, a := range out {
		d.emit(a.at, a.kind, a.val)
	}
	return true
}

// qualified is a name as it is written.
func qualified(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
