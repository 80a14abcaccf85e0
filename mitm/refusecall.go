package mitm

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// grpcUnimplemented is UNIMPLEMENTED: the method is not there, and to try again
// is of no use (grpc.github.io/grpc/core/md_doc_statuscodes.html).
const grpcUnimplemented = 12

// call is the answer to a call that misses by m, in the form that the client's
// library makes an error of: UNIMPLEMENTED, with what m says.
func (r Refusal) call(m *exchange.Miss) []exchange.Event {
	text := "serge-net: " + m.Error()
	fields := []exchange.Field{{Name: "content-type", Value: m.Call}}
	status := []exchange.Field{{Name: "grpc-status", Value: strconv.Itoa(grpcUnimplemented)}, {Name: "grpc-message", Value: percentEncoded(text)}}
	code, body := http.StatusOK, []byte(nil)
	switch {
	case strings.HasPrefix(m.Call, "application/grpc-web"):
		body = webTrailers(status)
		if strings.HasPrefix(m.Call, "application/grpc-web-text") {
			body = []byte(base64.StdEncoding.EncodeToString(body))
		}
	case strings.HasPrefix(m.Call, "application/grpc"):
		fields = append(fields, status...)
	case strings.HasPrefix(m.Call, "application/connect+"):
		body = enveloped(connectEndStream, []byte(`{"error":`+connectError(text)+`}`))
	default:
		code, body = http.StatusNotImplemented, []byte(connectError(text))
		fields[0].Value = "application/json"
	}
	if m.Begun {
		return ended(m, status, body)
	}
	if len(body) > 0 {
		fields = append(fields, exchange.Field{Name: "content-length", Value: strconv.Itoa(len(body))})
	}
	head := &exchange.Head{Status: code, Reason: http.StatusText(code), Version: "1.1", Fields: append(fields, exchange.Field{Name: "serge-net-miss", Value: "1"})}
	events := []exchange.Event{{Kind: exchange.KindHead, Head: head}}
	if len(body) > 0 {
		events = append(events, exchange.Event{Kind: exchange.KindData, Data: body})
	}
	return append(events, exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}})
}

// ended ends an answer that has begun by status, or body where that is its form.
func ended(m *exchange.Miss, status []exchange.Field, body []byte) []exchange.Event {
	end := exchange.Event{Kind: exchange.KindEnd, End: &exchange.End{}}
	if body == nil {
		return []exchange.Event{{Kind: exchange.KindTrailers, Fields: status}, end}
	}
	return []exchange.Event{{Kind: exchange.KindData, Data: body}, end}
}

// connectEndStream is the flag of the last message of a stream of Connect
// (connectrpc.com/docs/protocol), grpcWebTrailers that of gRPC-Web's
// (github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).
const (
	connectEndStream = 0x02
	grpcWebTrailers  = 0x80
)

// enveloped is a message with its flags and its length.
func enveloped(flags byte, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(b))), b...)
}

// webTrailers is fields as the message that ends an answer of gRPC-Web.
func webTrailers(fields []exchange.Field) []byte {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	return enveloped(grpcWebTrailers, []byte(b.String()))
}

// connectError is an error of Connect that says text.
func connectError(text string) string {
	b, _ := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{"unimplemented", text}) // of strings: it does not fail
	return string(b)
}

// percentEncoded is s as a grpc-message: what is not printable ASCII, and the
// percent sign, is encoded.
func percentEncoded(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
