package http2

import (
	"strings"

	"golang.org/x/net/http2"
)

// talks are what both sides say, the client first, and the events it makes.
var talks = []struct {
	name string
	say  func(c, s *wire)
	want []string
}{
	{"exchange", func(c, s *wire) {
		c.headers(1, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/p?q", "x-b", "1", "a", "2", "x-b", "3")
		c.WriteData(1, false, []byte("hel"))
		c.WriteData(1, true, []byte("lo"))
		s.headers(1, false, ":status", "103", "link", "</a>")
		s.headers(1, false, ":status", "200", "server", "x")
		s.WriteData(1, false, []byte("ok"))
		s.headers(1, true, "grpc-status", "0")
	}, []string{"c1 POST https://a /p?q [x-b=1] [a=2] [x-b=3]", "c1 data hello", "c1 complete",
		"s1 103 [link=</a>]", "s1 200 [server=x]", "s1 data ok", "s1 trailers [grpc-status=0]", "s1 complete"}},
	{"interleaved", func(c, s *wire) {
		c.get(1)
		c.get(3)
		s.headers(3, false, ":status", "200")
		s.headers(1, false, ":status", "404")
		s.WriteData(3, false, []byte("a"))
		s.WriteData(1, true, []byte("b"))
		s.WriteData(3, true, nil)
	}, []string{"c1 GET https://a /", "c1 complete", "c3 GET https://a /", "c3 complete",
		"s3 200", "s1 404", "s3 data a", "s1 data b", "s1 complete", "s3 complete"}},
	{"padding, priority, continuation", func(c, s *wire) {
		block := c.fields(":method", "GET", ":scheme", "http", ":path", "/", "host", "h", "cookie", "a=1", "cookie", "b=2")
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], PadLength: 7, Priority: http2.PriorityParam{Weight: 5, StreamDep: 3}})
		c.WriteContinuation(1, false, block[3:9])
		c.WriteContinuation(1, true, block[9:])
		c.WriteDataPadded(1, false, []byte("abc"), make([]byte, 20))
		c.WriteDataPadded(1, false, nil, make([]byte, 3))
		c.WriteDataPadded(1, true, []byte("d"), nil)
		s.WritePing(false, [8]byte{})
		s.WriteWindowUpdate(0, 100)
		s.WriteRawFrame(0xee, 0, 5, []byte("unknown"))
		s.WriteRawFrame(0xef, 0, 5, nil)
		s.headers(1, true, ":status", "204")
	}, []string{"c1 GET http://h / [host=h] [cookie=a=1] [cookie=b=2]", "c1 data abcd", "c1 complete", "s1 204", "s1 complete"}},
	{"tables", func(c, s *wire) {
		s.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 65536}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 17})
		c.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 65536})
		c.get(1)
		s.enc.SetMaxDynamicTableSizeLimit(65536)
		s.enc.SetMaxDynamicTableSize(65536)
		s.headers(1, true, ":status", "200", "x", strings.Repeat("y", 5000))
		c.headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(3, true, ":status", "200", "x", strings.Repeat("y", 5000))
	}, []string{"c1 GET https://a /", "c1 complete", "c3 GET https://a /", "c3 complete",
		"s1 200 [x=" + strings.Repeat("y", 5000) + "]", "s1 complete", "s3 200 [x=" + strings.Repeat("y", 5000) + "]", "s3 complete"}},
	{"push", func(c, s *wire) {
		c.get(1)
		s.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true, PadLength: 2,
			BlockFragment: s.fields(":method", "GET", ":path", "/pushed", "x-in", "table")})
		s.headers(2, false, ":status", "200", "x-in", "table")
		s.WriteData(2, true, []byte("pushed"))
		s.headers(1, true, ":status", "200", "x-in", "table")
	}, []string{"c1 GET https://a /", "c1 complete", "s1 200 [x-in=table]", "s1 complete"}},
	{"client resets", func(c, s *wire) {
		c.get(1)
		c.WriteRSTStream(1, http2.ErrCodeCancel)
		s.headers(1, false, ":status", "200", "x-in", "table") // crossed
		s.WriteData(1, true, []byte("late"))
		c.headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(3, true, ":status", "200", "x-in", "table")
	}, []string{"c1 GET https://a /", "c1 complete", "s1 read_timeout 8", "c3 GET https://a /", "c3 complete", "s3 200 [x-in=table]", "s3 complete"}},
	{"server resets", func(c, s *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		s.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	}, []string{"c1 PUT https://a /", "s1 reset 7", "c1 reset 7"}},
	{"server needs no more", func(c, s *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(1, true, ":status", "413")
		s.WriteRSTStream(1, http2.ErrCodeNo)
	}, []string{"c1 PUT https://a /", "s1 413", "s1 complete", "c1 truncated"}},
	{"goaway", func(c, s *wire) {
		c.get(1)
		c.get(3)
		c.WriteGoAway(0, http2.ErrCodeNo, nil)
		s.WriteGoAway(1, http2.ErrCodeNo, []byte("bye"))
		s.headers(1, true, ":status", "200")
	}, []string{"c1 GET https://a /", "c1 complete", "c3 GET https://a /", "c3 complete", "s3 reset", "s1 200", "s1 complete"}},
	{"goaway with a cause", func(c, s *wire) {
		c.get(1)
		s.headers(1, false, ":status", "200")
		s.WriteGoAway(1, http2.ErrCodeInternal, nil)
	}, []string{"c1 GET https://a /", "c1 complete", "s1 200", "s1 reset 2"}},
	{"cut", func(c, s *wire) {
		c.headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/")
		s.headers(1, false, ":status", "200")
		s.WriteData(1, false, []byte("ab"))
	}, []string{"c1 PUT https://a /", "s1 200", "s1 data ab", "s1 truncated", "c1 truncated"}},
	{"connect", func(c, s *wire) {
		c.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/chat", ":authority", "a", "origin", "o")
		c.headers(3, false, ":method", "CONNECT", ":authority", "b:443")
	}, []string{"c1 CONNECT https://a /chat [:protocol=websocket] [origin=o]", "c3 CONNECT ://b:443 b:443", "s1 truncated", "s3 truncated", "c1 truncated", "c3 truncated"}},
	{"unknown streams", func(c, s *wire) {
		s.headers(1, true, ":status", "200")
		s.WriteData(3, true, []byte("x"))
		c.WriteData(5, true, []byte("x"))
		c.WriteRSTStream(7, http2.ErrCodeCancel)
		c.headers(2, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	}, nil},
}

// refused are connections that are not understood.
var refused = []struct {
	name   string
	client func(c *wire)
	server func(s *wire)
}{
	{"no preface", func(c *wire) { c.Reset(); c.WriteString("GET / HTTP/1.1\r\n\r\n") }, nil},
	{"no settings", func(c *wire) { c.Reset(); c.WriteString(Preface); c.WritePing(false, [8]byte{}) }, nil},
	{"settings size", func(c *wire) { c.WriteRawFrame(http2.FrameSettings, 0, 0, []byte("12345")) }, nil},
	{"frame size", func(c *wire) { c.WriteData(1, false, make([]byte, 16<<10+1)) }, nil},
	{"HEADERS on 0", func(c *wire) { c.headers(0, true) }, nil},
	{"DATA on 0", func(c *wire) { c.WriteData(0, true, nil) }, nil},
	{"DATA padding", func(c *wire) { c.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{9, 1}) }, nil},
	{"no DATA padding", func(c *wire) { c.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, nil) }, nil},
	{"HEADERS padding", func(c *wire) { c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, []byte{9, 1}) }, nil},
	{"HEADERS priority", func(c *wire) { c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPriority, 1, []byte{9, 1}) }, nil},
	{"empty padded HEADERS", func(c *wire) { c.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPadded, 1, nil) }, nil},
	{"PUSH_PROMISE size", nil, func(s *wire) { s.WriteRawFrame(http2.FramePushPromise, 0, 1, []byte{9, 1}) }},
	{"RST_STREAM size", func(c *wire) { c.WriteRawFrame(http2.FrameRSTStream, 0, 1, []byte{9, 1}) }, nil},
	{"GOAWAY size", func(c *wire) { c.WriteRawFrame(http2.FrameGoAway, 0, 0, []byte{9, 1}) }, nil},
	{"lone CONTINUATION", func(c *wire) { c.WriteContinuation(1, true, nil) }, nil},
	{"frame in a block", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: nil})
		c.WritePing(false, [8]byte{})
	}, nil},
	{"long block", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40, 0x7f, 0x81, 0xff, 0x0f}})
		for range MaxBlock / (16 << 10) {
			c.WriteContinuation(1, false, make([]byte, 16<<10))
		}
	}, nil},
	{"bomb", func(c *wire) {
		block := c.fields("a", strings.Repeat("x", 4000))
		for range MaxFields / 4000 {
			block = append(block, 0x80|62)
		}
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
	}, nil},
	{"bad index", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xff, 0x7f}, EndHeaders: true})
	}, nil},
	{"cut block", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x40}, EndHeaders: true})
	}, nil},
	{"table too large", func(c *wire) {
		c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x3f, 0xe2, 0x1f}, EndHeaders: true})
	}, nil},
	{"no method", func(c *wire) { c.headers(1, true, ":path", "/") }, nil},
	{"two methods", func(c *wire) { c.headers(1, true, ":method", "A", ":method", "B", ":path", "/") }, nil},
	{"status of a request", func(c *wire) { c.headers(1, true, ":method", "A", ":path", "/", ":status", "200") }, nil},
	{"pseudo field behind", func(c *wire) { c.headers(1, true, ":method", "A", "a", "b", ":path", "/") }, nil},
	{"no status", nil, func(s *wire) { s.headers(1, true, "a", "b") }},
	{"bad status", nil, func(s *wire) { s.headers(1, true, ":status", "20x") }},
	{"method of a response", nil, func(s *wire) { s.headers(1, true, ":method", "GET") }},
	{"interim end", nil, func(s *wire) { s.headers(1, true, ":status", "100") }},
	{"endless trailers", nil, func(s *wire) { s.headers(1, false, ":status", "200"); s.headers(1, false, "a", "b") }},
	{"many streams", func(c *wire) {
		for i := range uint32(MaxStreams + 1) {
			c.get(2*i + 1)
		}
	}, nil},
}
