package mitm

import (
	"net/http"
	"strings"

	"github.com/serge-net/serge-net/exchange"
	"github.com/serge-net/serge-net/ws"
)

// protocolField is where a head of HTTP/2 has the :protocol of an extended CONNECT.
const protocolField = ":protocol"

// asUpgrade is h, an extended CONNECT of HTTP/2 that asks for a WebSocket (RFC
// 8441), as HTTP/1.1 asks for one, so that what is recorded of one plays to the
// other. It is false for any other h, which it returns.
func asUpgrade(h *exchange.Head) (*exchange.Head, bool) {
	if h.Method != http.MethodConnect {
		return h, false
	}
	if p, _ := exchange.Get(h.Fields, protocolField); !strings.EqualFold(p, "websocket") {
		return h, false
	}
	up := *h
	up.Method = http.MethodGet
	up.Fields = append([]exchange.Field{{Name: "upgrade", Value: "websocket"}}, h.Fields[1:]...)
	return &up, true
}

// asSwitch is h, the answer to an extended CONNECT, as HTTP/1.1 has it.
func asSwitch(h *exchange.Head) *exchange.Head {
	if h.Status/100 != 2 {
		return h
	}
	up := *h
	up.Status = http.StatusSwitchingProtocols
	return &up
}

// asConnected is h, an answer that opens a WebSocket in HTTP/1.1, as one to an
// extended CONNECT: what HTTP/1.1 says with fields is in the status.
func asConnected(h *exchange.Head) *exchange.Head {
	was := *h
	was.Status, was.Reason, was.Fields = http.StatusOK, "", nil
	for _, f := range h.Fields {
		switch strings.ToLower(f.Name) {
		case "upgrade", "connection", "sec-websocket-accept":
		default:
			was.Fields = append(was.Fields, f)
		}
	}
	return &was
}

// switching is h, an answer that opens a WebSocket, with the fields that HTTP/1.1
// says so by, of a client whose key is key.
func switching(h *exchange.Head, key string) *exchange.Head {
	up := *h
	for _, f := range []exchange.Field{{Name: "Upgrade", Value: "websocket"}, {Name: "Connection", Value: "Upgrade"}, {Name: "Sec-WebSocket-Accept", Value: ws.Accept(key)}} {
		if _, ok := exchange.Get(up.Fields, f.Name); !ok {
			up.Fields = append(up.Fields[:len(up.Fields):len(up.Fields)], f)
		}
	}
	return &up
}
