package foreign

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// The parts of WireMock's mappings, in the order that they are written.
type (
	stub struct {
		Request       stubRequest    `json:"request"`
		Response      map[string]any `json:"response"`
		Scenario      string         `json:"scenarioName,omitempty"`
		RequiredState string         `json:"requiredScenarioState,omitempty"`
		NewState      string         `json:"newScenarioState,omitempty"`
	}
	stubRequest struct {
		Method string              `json:"method"`
		URL    string              `json:"url"`
		Scheme string              `json:"scheme"`
		Host   map[string]string   `json:"host"`
		Port   int                 `json:"port"`
		Body   []map[string]string `json:"bodyPatterns,omitempty"`
	}
)

// writeWireMock writes mappings. Equal requests are a scenario: they are answered
// in order, the last answer again and again.
func writeWireMock(w io.Writer, x *export) error {
	stubs := []*stub{}
	equal := map[string][]*stub{}
	err := x.each(func(_ int, i *cassette.Interaction) error {
		if len(i.Passed()) > 0 {
			x.note(i, "upgraded streams are not carried")
			return nil
		}
		s, err := x.stub(i)
		if err != nil {
			return err
		}
		key, err := json.Marshal(s.Request)
		stubs, equal[string(key)] = append(stubs, s), append(equal[string(key)], s)
		return err
	})
	if err != nil {
		return err
	}
	n := 0
	for _, s := range stubs {
		key, err := json.Marshal(s.Request)
		if err != nil {
			return err
		}
		group := equal[string(key)]
		if len(group) == 1 || s != group[0] {
			continue
		}
		n++
		name := "scenario-" + strconv.Itoa(n)
		for k, one := range group {
			one.Scenario, one.RequiredState = name, "Started"
			if k > 0 {
				one.RequiredState = fmt.Sprintf("%s-%d", name, k+1)
			}
			if k+1 < len(group) {
				one.NewState = fmt.Sprintf("%s-%d", name, k+2)
			}
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"mappings": stubs})
}

// stub is i as a mapping.
func (x *export) stub(i *cassette.Interaction) (*stub, error) {
	u, err := url.Parse(i.Request.URL)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = map[string]int{"http": 80, "https": 443}[u.Scheme]
	}
	s := &stub{Request: stubRequest{Method: i.Request.Method, URL: u.RequestURI(), Scheme: u.Scheme, Host: map[string]string{"equalTo": u.Hostname()}, Port: port}}
	body, err := x.bytes(i, i.Request.Body)
	if err != nil {
		return nil, err
	}
	text, isText := readable(body, i.Request.Fields)
	switch {
	case len(body) == 0:
	case json.Valid(text) && strings.HasSuffix(mediaType(i.Request.Fields), "json"):
		s.Request.Body = []map[string]string{{"equalToJson": string(text)}}
	case isText && coding(i.Request.Fields) == "":
		s.Request.Body = []map[string]string{{"equalTo": string(text)}}
	default:
		s.Request.Body = []map[string]string{{"binaryEqualTo": base64.StdEncoding.EncodeToString(body)}}
	}
	if len(asked(i)) > 0 {
		x.note(i, "request headers are not carried: WireMock answers whatever they are")
	}
	if i.Response == nil {
		s.Response = map[string]any{"fault": "CONNECTION_RESET_BY_PEER"}
		if i.Failure.Kind != "reset" {
			x.note(i, "a failure that is no reset is carried as one")
		}
		return s, nil
	}
	s.Response, err = x.stubResponse(i)
	return s, err
}

func (x *export) stubResponse(i *cassette.Interaction) (map[string]any, error) {
	r := i.Response
	out := map[string]any{"status": r.Status}
	if r.Reason != "" {
		out["statusMessage"] = r.Reason
	}
	headers := map[string]any{}
	for _, f := range r.Fields {
		switch strings.ToLower(f.Name) {
		case "content-length", "transfer-encoding", "connection", "keep-alive":
			continue
		}
		switch was := headers[f.Name].(type) {
		case nil:
			headers[f.Name] = shown(f.Value)
		case string:
			headers[f.Name] = []string{was, shown(f.Value)}
		case []string:
			headers[f.Name] = append(was, shown(f.Value))
		}
	}
	if len(headers) > 0 {
		out["headers"] = headers
	}
	if len(r.Trailers) > 0 || len(r.Informational) > 0 || r.End != exchange.Complete {
		x.note(i, "trailers, 1xx answers and cut answers are not carried")
	}
	body, err := x.bytes(i, r.Body)
	switch {
	case err != nil || len(body) == 0:
	case textual(body):
		out["body"] = string(body)
	default:
		out["base64Body"] = base64.StdEncoding.EncodeToString(body)
	}
	return out, err
}
