package http3

import (
	"fmt"

	"github.com/quic-go/quic-go/quicvarint"

	"github.com/serge-net/serge-net/exchange"
)

// Tunnel says what the request h asks to have its stream for, by an extended CONNECT
// (RFC 9220): "WebTransport", "WebSocket", or the name of another protocol. It is
// "" for other requests.
func Tunnel(h *exchange.Head) string {
	protocol, _ := exchange.Get(h.Fields, ":protocol")
	switch {
	case h.Method != "CONNECT":
		return ""
	case protocol == "webtransport" || protocol == "webtransport-h3":
		return "WebTransport"
	case protocol == "websocket":
		return "WebSocket"
	}
	return protocol
}

// SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 9220, section 5, and those by which servers
// offer WebTransport: draft-ietf-webtrans-http3-15, section 8.2, and the drafts 2 to
// 7, whose clients are about.
const (
	settingConnect        = 0x8
	settingTransport      = 0x2c7cf000
	settingSessions       = 0x14e9cd29
	settingSessionsDraft7 = 0xc671706a
	settingTransportDraft = 0x2b603742
)

// maxSettings is the most bytes of SETTINGS that an Offer looks at: servers send
// some dozens.
const maxSettings = 4 << 10

// An Offer edits what a server's unidirectional streams begin with, so that it does
// not offer tunnels: clients then have their WebSockets by HTTP/1.1. A server that
// offers WebTransport, which needs the same, is left as it is. The zero value is one
// stream's.
type Offer struct {
	held []byte
	over bool // the rest passes
}

// Edit takes what comes on the stream and returns what is to be sent on by now: its
// SETTINGS wait until they are whole. What it returns is as long, in the end.
func (f *Offer) Edit(b []byte) []byte {
	if f.over {
		return b
	}
	f.held = append(f.held, b...)
	value, whole := connectSetting(f.held)
	if !whole && len(f.held) < maxSettings {
		return nil
	}
	if value != nil { // 0 in as many bytes as it has
		clear(value[1:])
		value[0] &= 0xc0
	}
	return f.Rest()
}

// Rest returns what waits still, where the stream ends.
func (f *Offer) Rest() []byte {
	held := f.held
	f.held, f.over = nil, true
	return held
}

// connectSetting finds, in what a unidirectional stream begins with, the value of
// the setting that offers tunnels. It is nil where there is none, where WebTransport
// is offered too, and where b is no control stream. whole says that more of b would
// not change that.
func connectSetting(b []byte) (value []byte, whole bool) {
	kind, n, err := quicvarint.Parse(b)
	if err != nil {
		return nil, false
	}
	if kind != streamControl {
		return nil, true
	}
	frame, m, err := quicvarint.Parse(b[n:])
	if err != nil {
		return nil, false
	}
	n += m
	size, m, err := quicvarint.Parse(b[n:])
	switch {
	case err != nil:
		return nil, false
	case frame != frameSettings || size > maxSettings:
		return nil, true
	case uint64(len(b)-n-m) < size:
		return nil, false
	}
	err = eachSetting(b[n+m:][:size], func(id uint64, v []byte) {
		switch id {
		case settingConnect:
			value = v
		case settingTransport, settingSessions, settingSessionsDraft7, settingTransportDraft:
			size = 0 // WebTransport
		}
	})
	if err != nil || size == 0 {
		return nil, true
	}
	return value, true
}

// eachSetting calls each for every setting in a frame's payload, with the bytes of
// its value.
func eachSetting(payload []byte, each func(id uint64, value []byte)) error {
	for len(payload) > 0 {
		id, n, err := quicvarint.Parse(payload)
		if err != nil {
			return fmt.Errorf("%w: SETTINGS: %w", errFraming, err)
		}
		_, m, err := quicvarint.Parse(payload[n:])
		if err != nil {
			return fmt.Errorf("%w: SETTINGS: %w", errFraming, err)
		}
		each(id, payload[n:n+m])
		payload = payload[n+m:]
	}
	return nil
}
