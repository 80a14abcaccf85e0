package testnet

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// sockets are the WebSockets at /ws/NAME, which say what a program waits for.
func sockets() map[string]func(c *websocket.Conn, req *http.Request) {
	return map[string]func(c *websocket.Conn, req *http.Request){
		"rpc": serveCalls, "ticks": serveTicks, "leave": serveLeaving, "graphql": serveSubscriptions, "big": serveBig,
		"huge": serveHuge, "topics": serveTopics,
	}
}

// serveSocket serves those of sockets.
func (r *rack) serveSocket(w http.ResponseWriter, req *http.Request) {
	serve, ok := sockets()[req.PathValue("name")]
	if !ok {
		http.NotFound(w, req)
		return
	}
	r.upgraded(w, req, "graphql-transport-ws", serve)
}

// drain reads until the client closes.
func drain(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
	}
}

// serveCalls answers JSON-RPC calls two by two, the second first.
func serveCalls(c *websocket.Conn, _ *http.Request) {
	type call struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	for {
		var calls [2]call
		for i := range calls {
			if c.ReadJSON(&calls[i]) != nil {
				return
			}
		}
		for i := range calls {
			k := calls[len(calls)-1-i]
			if c.WriteJSON(map[string]any{"jsonrpc": "2.0", "id": k.ID, "result": "did " + k.Method}) != nil {
				return
			}
		}
	}
}

// serveTicks says n messages, gap milliseconds apart, and closes with 4001.
func serveTicks(c *websocket.Conn, req *http.Request) {
	for n := range number(req, "n", 3) {
		if n > 0 && !wait(req, time.Duration(number(req, "gap", 0))*time.Millisecond) {
			return
		}
		if c.WriteMessage(websocket.TextMessage, []byte("tick "+strconv.Itoa(n))) != nil {
			return
		}
	}
	if c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "no more")) == nil {
		drain(c)
	}
}

// serveLeaving answers one message and leaves without a word.
func serveLeaving(c *websocket.Conn, _ *http.Request) {
	if _, m, err := c.ReadMessage(); err == nil {
		_ = c.WriteMessage(websocket.TextMessage, m)
	}
}

// serveBig says one binary message of size bytes.
func serveBig(c *websocket.Conn, req *http.Request) {
	c.EnableWriteCompression(false)
	if c.WriteMessage(websocket.BinaryMessage, make([]byte, number(req, "size", 1<<20))) == nil {
		drain(c)
	}
}

// serveTopics welcomes, and answers each message with news of it.
func serveTopics(c *websocket.Conn, _ *http.Request) {
	if c.WriteMessage(websocket.TextMessage, []byte("welcome")) != nil {
		return
	}
	for {
		_, m, err := c.ReadMessage()
		if err != nil || c.WriteMessage(websocket.TextMessage, append([]byte("news of "), m...)) != nil {
			return
		}
	}
}

// serveHuge says the SHA-256 of the first message, and a binary message of size
// bytes of Random(7) in one frame. It holds neither.
func serveHuge(c *websocket.Conn, req *http.Request) {
	_, r, err := c.NextReader()
	if err != nil {
		return
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return
	}
	if c.WriteMessage(websocket.TextMessage, hex.AppendEncode(nil, sum.Sum(nil))) != nil {
		return
	}
	size := int64(number(req, "size", 64<<20))
	head := binary.BigEndian.AppendUint64([]byte{0x82, 127}, uint64(size)) // FIN and binary, the length in 8 bytes
	if _, err := c.NetConn().Write(head); err != nil {
		return
	}
	if _, err := io.CopyN(c.NetConn(), Random(7), size); err == nil {
		drain(c)
	}
}

// serveSubscriptions speaks graphql-transport-ws: two events for each subscription.
func serveSubscriptions(c *websocket.Conn, _ *http.Request) {
	for {
		var m struct{ ID, Type string }
		if c.ReadJSON(&m) != nil {
			return
		}
		var says []map[string]any
		switch m.Type {
		case "connection_init":
			says = append(says, map[string]any{"type": "connection_ack"})
		case "ping":
			says = append(says, map[string]any{"type": "pong"})
		case "subscribe":
			for n := range 2 {
				says = append(says, map[string]any{"id": m.ID, "type": "next", "payload": map[string]any{"data": map[string]int{"n": n}}})
			}
			says = append(says, map[string]any{"id": m.ID, "type": "complete"})
		}
		for _, s := range says {
			if c.WriteJSON(s) != nil {
				return
			}
		}
	}
}
