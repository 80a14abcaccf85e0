package http2

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// frame takes one frame.
func (s *server) frame(f http2.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heed()
	if !s.calm.spend(idle(f)) {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	t := s.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return s.headers(f, t)
	case *http2.DataFrame:
		return s.data(f, t)
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		return s.settings(f, s.lanes)
	case *http2.PingFrame:
		if !f.IsAck() {
			s.frames.WritePing(true, f.Data)
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID > s.newest {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		return s.update(f, t.sending())
	case *http2.RSTStreamFrame:
		if f.StreamID > s.newest {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if t != nil {
			t.leave(exchange.End{How: exchange.Reset, Code: uint32(f.ErrCode), Err: "RST_STREAM " + f.ErrCode.String() + " by the client"})
		}
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

// headers takes a request's head, or its trailers.
func (s *server) headers(f *http2.MetaHeadersFrame, t *serving) error {
	id := f.StreamID
	stream := func(code http2.ErrCode) error { return http2.StreamError{StreamID: id, Code: code} }
	switch {
	case id%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case f.HasPriority() && f.Priority.StreamDep == id:
		return stream(http2.ErrCodeProtocol)
	case t != nil && t.ended == nil:
		return t.trail(f)
	case id <= s.newest && slices.Contains(s.excused, id):
		return nil // it was sent before our reset was seen
	case id <= s.newest:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	s.newest = id
	n := size(f)
	switch {
	case len(s.streams) >= serveStreams:
		return stream(http2.ErrCodeRefusedStream)
	case f.Truncated || s.listed+n > serveFields:
		return stream(http2.ErrCodeEnhanceYourCalm)
	case malformed(f):
		return stream(http2.ErrCodeProtocol)
	}
	t = &serving{s: s, lane: s.lane(id), credit: serveWindow, head: headOf(f, s.Scheme), listed: n}
	t.expected = length(t.head.Fields)
	if f.StreamEnded() {
		if err := t.finish(); err != nil {
			return err
		}
	}
	s.listed += n
	s.streams[id] = t
	s.calls.Go(t.run)
	return nil
}

// trail takes f as the trailers of a request.
func (t *serving) trail(f *http2.MetaHeadersFrame) error {
	n := size(f)
	switch {
	case !f.StreamEnded() || len(f.PseudoFields()) > 0:
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeProtocol}
	case f.Truncated || t.s.listed+n > serveFields:
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeEnhanceYourCalm}
	}
	t.listed += n
	t.s.listed += n
	t.trailers = regular(f)
	return t.finish()
}

// size is the bytes of f's fields by the count of RFC 9113, section 6.5.2.
func size(f *http2.MetaHeadersFrame) int {
	n := 0
	for _, v := range f.Fields {
		n += int(v.Size())
	}
	return n
}

// malformed reports whether f is no request (RFC 9113, sections 8.2 and 8.3).
func malformed(f *http2.MetaHeadersFrame) bool {
	method, protocol := f.PseudoValue("method"), f.PseudoValue("protocol")
	for _, v := range f.RegularFields() {
		if Forbidden(v.Name) || v.Name == "te" && v.Value != "trailers" {
			return true
		}
	}
	if method == "CONNECT" && protocol == "" {
		return f.PseudoValue("authority") == ""
	}
	return method == "" || f.PseudoValue("path") == "" || f.PseudoValue("scheme") == ""
}

// headOf is f as a request's head.
func headOf(f *http2.MetaHeadersFrame, scheme string) *exchange.Head {
	h := &exchange.Head{
		Method: f.PseudoValue("method"), Scheme: scheme, Authority: f.PseudoValue("authority"),
		Target: f.PseudoValue("path"), Version: "2", Fields: regular(f), Pseudo: pseudo(f),
	}
	if h.Authority == "" {
		h.Authority, _ = exchange.Get(h.Fields, "host")
	}
	if h.Method == "CONNECT" && h.Target == "" {
		h.Target = h.Authority
	}
	if p := f.PseudoValue("protocol"); p != "" {
		h.Fields = append([]exchange.Field{{Name: ":protocol", Value: p}}, h.Fields...)
	}
	return h
}

// pseudo is the names of f's pseudo fields.
func pseudo(f *http2.MetaHeadersFrame) []string {
	all := f.PseudoFields()
	names := make([]string, len(all))
	for i, v := range all {
		names[i] = v.Name
	}
	return names
}

// regular is f's fields without the pseudo fields.
func regular(f *http2.MetaHeadersFrame) []exchange.Field {
	all := f.RegularFields()
	fields := make([]exchange.Field, len(all))
	for i, v := range all {
		fields[i] = exchange.Field{Name: v.Name, Value: v.Value}
	}
	return fields
}

// data takes a piece of body. What is taken of it is given back to the windows:
// that bounds what is held.
func (s *server) data(f *http2.DataFrame, t *serving) error {
	n := int64(f.Length)
	if s.credit -= n; s.credit < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if t == nil || t.ended != nil {
		return s.stray(f, n)
	}
	if t.credit -= n; t.credit < 0 {
		s.give(n)
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeFlowControl}
	}
	t.body = append(t.body, f.Data()...)
	t.padding += n - int64(len(f.Data()))
	t.received += int64(len(f.Data()))
	t.moved.Broadcast()
	if f.StreamEnded() {
		return t.finish()
	}
	if t.expected >= 0 && t.received > t.expected {
		return http2.StreamError{StreamID: t.id, Code: http2.ErrCodeProtocol}
	}
	return nil
}

// stray takes data of a stream that wants none.
func (s *server) stray(f *http2.DataFrame, n int64) error {
	s.give(n)
	switch {
	case f.StreamID > s.newest:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case !slices.Contains(s.excused, f.StreamID):
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	case !s.calm.spend(1):
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// give gives n bytes back to the connection's window, and tells the client when
// there are enough of them to be worth a frame.
func (s *server) give(n int64) {
	if s.owed += n; s.owed >= serveHeld/4 {
		s.frames.WriteWindowUpdate(0, uint32(s.owed))
		s.credit, s.owed = s.credit+s.owed, 0
	}
}

// Forbidden reports whether name is of one connection only, and so has no
// place in HTTP/2 (RFC 9113, section 8.2.2).
func Forbidden(name string) bool {
	for _, f := range [...]string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade"} {
		if strings.EqualFold(name, f) {
			return true
		}
	}
	return false
}

// length is the Content-Length in fields, -1 without a valid one.
func length(fields []exchange.Field) int64 {
	v, _ := exchange.Get(fields, "content-length")
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
