package exchange

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Encode returns the miss as JSON, for clients that asked for that: an object with
// "error", which is "miss", "method", "url", "cassette", "reason", "nearest" with
// its "method", "url", "served", "recorded" and "differs", "hosts", and "accept".
// What is not known is left out; what is no UTF-8 is told with U+FFFD.
func (m *Miss) Encode() []byte {
	type diff struct {
		At       string `json:"at"`
		Recorded string `json:"recorded"`
		Live     string `json:"live"`
		Why      string `json:"why,omitempty"`
	}
	type near struct {
		Method   string `json:"method"`
		URL      string `json:"url"`
		Served   int    `json:"served"`
		Recorded int    `json:"recorded"`
		Differs  []diff `json:"differs,omitempty"`
	}
	v := struct {
		Error    string   `json:"error"`
		Method   string   `json:"method"`
		URL      string   `json:"url"`
		Cassette string   `json:"cassette,omitempty"`
		Reason   string   `json:"reason,omitempty"`
		Nearest  *near    `json:"nearest,omitempty"`
		Hosts    []string `json:"hosts,omitempty"`
		Accept   string   `json:"accept,omitempty"`
	}{"miss", m.Method, m.URL, m.Cassette, m.Reason, nil, m.Hosts, m.Accept}
	if n := m.Nearest; n != nil {
		v.Nearest = &near{n.Method, n.URL, n.Served, n.Recorded, nil}
		for _, d := range n.Diffs {
			v.Nearest.Differs = append(v.Nearest.Differs, diff{d.At, clean(d.Recorded), clean(d.Live), d.Why})
		}
	}
	b, _ := json.Marshal(v) // of strings and numbers: it does not fail
	return b
}

// clean is s, cut where it is long, as UTF-8.
func clean(s string) string {
	const most = 1 << 10 // bytes: a value that a person would look at
	if len(s) > most {
		s = s[:most] + "…"
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
