package foreign

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strings"
	"time"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
)

// The parts of HAR 1.2, in the order that they are written.
type (
	harLog struct {
		Version string     `json:"version"`
		Creator harCreator `json:"creator"`
		Entries []harOut   `json:"entries"`
	}
	harCreator struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	harOut struct {
		Started   time.Time    `json:"startedDateTime"`
		Time      float64      `json:"time"`
		Request   harRequest   `json:"request"`
		Response  harResponse  `json:"response"`
		Cache     struct{}     `json:"cache"`
		Timings   harTimings   `json:"timings"`
		Error     string       `json:"_error,omitempty"`
		Messages  []harMessage `json:"_webSocketMessages,omitempty"`
		Extension harSerge     `json:"_serge"`
	}
	harRequest struct {
		Method      string     `json:"method"`
		URL         string     `json:"url"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []harPair  `json:"cookies"`
		Headers     []harPair  `json:"headers"`
		Query       []harPair  `json:"queryString"`
		Post        *harPosted `json:"postData,omitempty"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
	}
	harPosted struct {
		MimeType string `json:"mimeType"`
		Text     string `json:"text"`
		Encoding string `json:"encoding,omitempty"`
	}
	harResponse struct {
		Status      int        `json:"status"`
		StatusText  string     `json:"statusText"`
		HTTPVersion string     `json:"httpVersion"`
		Cookies     []harPair  `json:"cookies"`
		Headers     []harPair  `json:"headers"`
		Content     harContent `json:"content"`
		RedirectURL string     `json:"redirectURL"`
		HeadersSize int        `json:"headersSize"`
		BodySize    int64      `json:"bodySize"`
		// Transferred is the head, as HTTP/1 has it, and the body as it passed, in
		// bytes. Chromium has it.
		Transferred int64 `json:"_transferSize"`
	}
	harContent struct {
		Size        int    `json:"size"`
		Compression int64  `json:"compression,omitempty"`
		MimeType    string `json:"mimeType"`
		Text        string `json:"text,omitempty"`
		Encoding    string `json:"encoding,omitempty"`
	}
	harTimings struct {
		Send    float64 `json:"send"`
		Wait    float64 `json:"wait"`
		Receive float64 `json:"receive"`
	}
	harPair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	harMessage struct {
		Type   string  `json:"type"`
		Time   float64 `json:"time"`
		Opcode int     `json:"opcode"`
		Data   string  `json:"data"`
	}
)

// writeHAR writes HAR 1.2. Bodies stand decoded in it, as the format says.
func writeHAR(w io.Writer, x *export) error {
	l := harLog{Version: "1.2", Creator: harCreator{"serge-net", cassette.Version}, Entries: []harOut{}}
	err := x.each(func(_ int, i *cassette.Interaction) error {
		e, err := x.harEntry(i)
		l.Entries = append(l.Entries, e)
		return err
	})
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]harLog{"log": l})
}

// harEntry is i.
func (x *export) harEntry(i *cassette.Interaction) (harOut, error) {
	t := i.Timing
	e := harOut{Started: x.c.RecordedAt.Add(t.Start), Time: inMS(t.Send + t.Wait + t.Receive), Timings: harTimings{inMS(t.Send), inMS(t.Wait), inMS(t.Receive)}}
	e.Extension.ID = i.ID
	body, err := x.bytes(i, i.Request.Body)
	if err != nil {
		return e, err
	}
	e.Request = harRequest{Method: i.Request.Method, URL: i.Request.URL, HTTPVersion: "HTTP/" + i.Request.Version, Cookies: []harPair{},
		Headers: pairs(i.Request.Fields), Query: queryPairs(i.Request.URL), HeadersSize: -1, BodySize: i.Request.Body.Size}
	e.Extension.Sent.Request = sent(body, i.Request.Fields)
	if len(body) > 0 {
		ct, _ := exchange.Get(i.Request.Fields, "content-type")
		p := harPosted{MimeType: shown(ct)}
		p.Text, p.Encoding = inText(readable(body, i.Request.Fields))
		e.Request.Post = &p
	}
	r := i.Response
	if r == nil {
		e.Error = i.Failure.Kind + ": " + i.Failure.Cause
		e.Response = harResponse{HTTPVersion: e.Request.HTTPVersion, Cookies: []harPair{}, Headers: []harPair{}, HeadersSize: -1, BodySize: -1, Content: harContent{MimeType: "x-unknown"}}
		return e, nil
	}
	for _, one := range r.Informational {
		e.Extension.Interim = append(e.Extension.Interim, harInterim{one.Status, pairs(one.Fields)})
	}
	if r.End != exchange.Complete {
		e.Extension.End = r.End.String()
	}
	if len(r.Trailers) > 0 {
		e.Extension.Trailers = pairs(r.Trailers)
	}
	if e.Messages, e.Extension.Control, err = x.webSocket(i); err != nil {
		return e, err
	}
	e.Response, e.Extension.Sent.Response, err = x.harResponse(i)
	return e, err
}

// harResponse is i's answer, and its body as it passed where that is another than
// the answer's.
func (x *export) harResponse(i *cassette.Interaction) (harResponse, string, error) {
	r := i.Response
	version := r.Version
	if version == "" {
		version = i.Request.Version
	}
	location, _ := exchange.Get(r.Fields, "location")
	ct, _ := exchange.Get(r.Fields, "content-type")
	out := harResponse{Status: r.Status, StatusText: r.Reason, HTTPVersion: "HTTP/" + version, Cookies: []harPair{}, Headers: pairs(r.Fields),
		RedirectURL: shown(location), HeadersSize: -1, BodySize: r.Body.Size}
	out.Transferred = int64(len(fmt.Sprintf("HTTP/1.1 %d %s\r\n", r.Status, r.Reason))+len(head(r.Fields, "", -1))) + r.Body.Size
	body, err := x.bytes(i, r.Body)
	if err != nil {
		return out, "", err
	}
	text, isText := readable(body, r.Fields)
	if _, ok := cassette.Decoded(body, coding(r.Fields), plainMost); !ok && len(body) > 0 {
		x.note(i, "a body stands in its content coding, "+coding(r.Fields)+", in the HAR")
	}
	out.Content = harContent{Size: len(text), MimeType: shown(ct), Compression: int64(len(text)) - r.Body.Size}
	out.Content.Text, out.Content.Encoding = inText(text, isText)
	return out, sent(body, r.Fields), nil
}

// inText is b as text and how that is encoded.
func inText(b []byte, isText bool) (text, encoding string) {
	if isText {
		return string(b), ""
	}
	return base64.StdEncoding.EncodeToString(b), "base64"
}

// inMS is d in milliseconds.
func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// pairs are fields as HAR has them.
func pairs(fields []exchange.Field) []harPair {
	out := []harPair{}
	for _, f := range fields {
		out = append(out, harPair{f.Name, shown(f.Value)})
	}
	return out
}

// queryPairs are the query of a URL, decoded, in order.
func queryPairs(raw string) []harPair {
	out := []harPair{}
	_, query, _ := strings.Cut(raw, "?")
	for p := range strings.SplitSeq(query, "&") {
		if p == "" {
			continue
		}
		name, value, _ := strings.Cut(p, "=")
		if s, err := url.QueryUnescape(name); err == nil {
			name = s
		}
		if s, err := url.QueryUnescape(value); err == nil {
			value = s
		}
		out = append(out, harPair{name, value})
	}
	return out
}

// mediaType is the media type that fields name, without parameters.
func mediaType(fields []exchange.Field) string {
	ct, _ := exchange.Get(fields, "content-type")
	t, _, err := mime.ParseMediaType(ct)
	if err != nil {
		return ""
	}
	return t
}
