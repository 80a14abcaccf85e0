package foreign

import (
	"encoding/base64"

	"github.com/serge-net/serge-net/cassette"
	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// harSerge is what HAR has no place for, the member _serge of an entry: what is
// needed to import it as it was.
type harSerge struct {
	ID       string       `json:"id"`
	End      string       `json:"end,omitempty"`
	Trailers []harPair    `json:"trailers,omitempty"`
	Interim  []harInterim `json:"informational,omitempty"`
	// Sent are the bodies as they passed, in base64, where the HAR has them
	// without their content coding. They are those only as long as they unfold to
	// what the HAR says: whoever edits that is right.
	Sent    harSent      `json:"sent,omitzero"`
	Control []harControl `json:"control,omitempty"`
}

// A harSent is the bodies of an entry as they passed.
type harSent struct {
	Request  string `json:"request,omitempty"`
	Response string `json:"response,omitempty"`
}

// A harInterim is a 1xx answer.
type harInterim struct {
	Status  int       `json:"status"`
	Headers []harPair `json:"headers"`
}

// A harControl is a control frame of a WebSocket, before the message of this
// number.
type harControl struct {
	Before int `json:"before"`
	harMessage
}

// amend takes in what own, the member _serge of an entry that e is, says beside
// the entry.
func (e *Exchange) amend(own *value) error {
	own.skip("id")
	for _, h := range own.get("informational").list() {
		if status := h.int("status"); status > 101 && status < 200 {
			e.Interim = append(e.Interim, exchange.Head{Status: status, Version: e.Request.Version, Fields: ownFields(h.get("headers"))})
		}
	}
	if end := own.str("end"); end != "" && e.Response != nil {
		e.Failure = exchange.End{How: exchange.Truncated, Err: end}
		if end == exchange.Reset.String() {
			e.Failure.How = exchange.Reset
		}
	}
	e.Trailers = ownFields(own.get("trailers"))
	sent := own.get("sent")
	if b, ok := sentAs(sent.str("request"), e.RequestBody, e.Request.Fields); ok {
		e.RequestBody = b
	}
	if e.Response != nil {
		if b, ok := sentAs(sent.str("response"), e.ResponseBody, e.Response.Fields); ok {
			e.ResponseBody = b
		}
	}
	var all []Message
	next := 0
	for _, c := range own.get("control").list() {
		data := c.get("data")
		b, err := base64.StdEncoding.DecodeString(data.string())
		if op := ws.Opcode(c.int("opcode")); err != nil || !op.Control() || len(b) > 125 {
			return c.fault("a control frame that is none")
		}
		m := Message{From: exchange.Client, Op: ws.Opcode(c.int("opcode")), Data: b}
		if c.str("type") == "receive" {
			m.From = exchange.Server
		}
		c.skip("time")
		for ; next < min(c.int("before"), len(e.Messages)); next++ {
			all = append(all, e.Messages[next])
		}
		all = append(all, m)
	}
	if all != nil {
		e.Messages = append(all, e.Messages[next:]...)
	}
	return nil
}

// ownFields are fields as writeHAR has them.
func ownFields(v *value) []exchange.Field {
	var fs []exchange.Field
	for _, f := range v.list() {
		fs = append(fs, exchange.Field{Name: f.str("name"), Value: f.str("value")})
	}
	return fs
}

// sentAs is the body in text, if that unfolds to what plain is now.
func sentAs(text string, plain []byte, fields []exchange.Field) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(text)
	if text == "" || err != nil {
		return nil, false
	}
	out, ok := cassette.Decoded(b, coding(fields), plainMost)
	return b, ok && string(out) == string(plain)
}

// sent is a body in base64 if the HAR has another in its place.
func sent(body []byte, fields []exchange.Field) string {
	if len(body) == 0 || coding(fields) == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString(body)
}
