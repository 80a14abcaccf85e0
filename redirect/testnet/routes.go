package testnet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
)

// JSON is what /json and, compressed, /gzip answer.
const JSON = `{"name":"testnet","list":[1,2,3],"nested":{"ok":true,"none":null}}` + "\n"

// Session is the cookie that /login sets and /cookie wants.
const Session = "session=f3a9c1d27b604e58"

// Tokens returns the bearer tokens that /me knows, and whose they are.
func Tokens() map[string]string {
	return map[string]string{"token-of-alice-7c1f": "alice", "token-of-bob-93aa": "bob"}
}

// Random returns an endless stream of pseudo-random bytes, the same for the same seed.
func Random(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// Route is a path of the web origin.
type Route struct {
	Path string
	Doc  string
}

// Routes returns what the web origin serves at each of its names.
func Routes() []Route {
	return []Route{
		{"/hello", `"hello from HOST\n"`},
		{"/protocol", `the protocol, "HTTP/1.1\n"`},
		{"/json", "JSON"},
		{"/gzip", "JSON with Content-Encoding: gzip, always"},
		{"/bytes", "n bytes of Random(seed); chunked=1 sends no Content-Length"},
		{"/echo", "the request's body with its Content-Type"},
		{"/method", "the method and the request-target"},
		{"/login", "sets the cookie Session, and a second one"},
		{"/cookie", "200 with the cookie, else 401"},
		{"/me", "whose bearer token it is, else 401"},
		{"/count", "how often it was asked for, from 1"},
		{"/slow", "answers after ms milliseconds"},
		{"/redirect", "302 to the path to, by default /hello"},
		{"/status", "the status code"},
		{"/early", "103 with a Link, then 200"},
		{"/trailers", "a body with the trailer X-Checksum"},
		{"/abort", "half a body, then the connection or stream is cut"},
		{"/sse", "n server-sent events, each flushed, gap milliseconds between"},
		{"/stream/NAME", "streams: acknowledged at /ack (acked), with ids (ids), without an end (endless), cut (cut), of JSON (lines), of a secret (secret), of words (chat, message; also where OpenAI and Anthropic have them)"},
		{"/poll", "204 after ms milliseconds, and the next time news"},
		{"/ws", "a WebSocket that echoes; greet=1 speaks first; subprotocol echo.test"},
		{"/ws/NAME", "WebSockets that answer calls (rpc), tick and close (ticks), leave (leave), speak GraphQL (graphql), say much (big), hear and say more than is held (huge), tell news (topics)"},
	}
}

// routes is the web origin as host. Each request is a hit of "HOST/PATH".
func (r *rack) routes(host string) http.Handler {
	mux := http.NewServeMux()
	text := func(path string, answer func(*http.Request) string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, answer(req)) // the client is gone
		})
	}
	text("/hello", func(*http.Request) string { return "hello from " + host + "\n" })
	text("/protocol", func(req *http.Request) string { return req.Proto + "\n" })
	text("/method", func(req *http.Request) string { return req.Method + " " + req.RequestURI + "\n" })
	counter := new(tally)
	text("/count", func(*http.Request) string { return strconv.Itoa(counter.add("")) + "\n" })
	mux.HandleFunc("/json", serveJSON)
	mux.HandleFunc("/gzip", serveGzip)
	mux.HandleFunc("/bytes", serveBytes)
	mux.HandleFunc("/echo", serveEcho)
	mux.HandleFunc("/login", serveLogin)
	mux.HandleFunc("/cookie", serveCookie)
	mux.HandleFunc("/me", serveMe)
	mux.HandleFunc("/slow", serveSlow)
	mux.HandleFunc("/redirect", serveRedirect)
	mux.HandleFunc("/status", func(w http.ResponseWriter, req *http.Request) { w.WriteHeader(number(req, "code", 200)) })
	mux.HandleFunc("/early", serveEarly)
	mux.HandleFunc("/trailers", serveTrailers)
	mux.HandleFunc("/abort", serveAbort)
	mux.HandleFunc("/sse", serveSSE)
	serveStreams(mux)
	mux.HandleFunc("/ws", r.serveWebSocket)
	mux.HandleFunc("/ws/{name}", r.serveSocket)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.hits.add(host + req.URL.Path)
		mux.ServeHTTP(w, req)
	})
}

// number is the query parameter name, or def if it is none.
func number(req *http.Request, name string, def int) int {
	n, err := strconv.Atoi(req.URL.Query().Get(name))
	if err != nil {
		return def
	}
	return n
}

func serveJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, JSON) // the client is gone
}

func serveGzip(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, JSON) // a Buffer takes all
	_ = z.Close()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Vary", "Accept-Encoding")
	_, _ = w.Write(b.Bytes()) // the client is gone
}

func serveBytes(w http.ResponseWriter, req *http.Request) {
	n := number(req, "n", 1024)
	w.Header().Set("Content-Type", "application/octet-stream")
	if number(req, "chunked", 0) == 0 {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	if req.Method == http.MethodHead {
		return
	}
	body := io.LimitReader(Random(uint64(number(req, "seed", 0))), int64(n))
	_, _ = io.CopyBuffer(struct{ io.Writer }{w}, body, make([]byte, 256<<10)) // the client is gone
}

func serveEcho(w http.ResponseWriter, req *http.Request) {
	if kind := req.Header.Get("Content-Type"); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	if req.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(req.ContentLength, 10))
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is, and says it need not be enabled
	_, _ = io.Copy(w, req.Body)                          // the client is gone
}

func serveLogin(w http.ResponseWriter, _ *http.Request) {
	w.Header().Add("Set-Cookie", Session+"; Path=/; HttpOnly")
	w.Header().Add("Set-Cookie", "theme=dark; Path=/; Max-Age=3600")
	_, _ = io.WriteString(w, "welcome\n") // the client is gone
}

func serveCookie(w http.ResponseWriter, req *http.Request) {
	if c, err := req.Cookie("session"); err != nil || c.String() != Session {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, "welcome back\n") // the client is gone
}

func serveMe(w http.ResponseWriter, req *http.Request) {
	for token, name := range Tokens() {
		if req.Header.Get("Authorization") == "Bearer "+token {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, "{\"name\":%q}\n", name) // the client is gone
			return
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="testnet"`)
	http.Error(w, "who are you?", http.StatusUnauthorized)
}

func serveSlow(w http.ResponseWriter, req *http.Request) {
	if wait(req, time.Duration(number(req, "ms", 100))*time.Millisecond) {
		_, _ = io.WriteString(w, "at last\n") // the client is gone
	}
}

func serveRedirect(w http.ResponseWriter, req *http.Request) {
	to := req.URL.Query().Get("to")
	if to == "" {
		to = "/hello"
	}
	http.Redirect(w, req, to, http.StatusFound)
}

// wait passes d, and is false if the client left meanwhile.
func wait(req *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-req.Context().Done():
		return false
	}
}

func serveEarly(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload; as=style")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	_, _ = io.WriteString(w, "after the hints\n") // the client is gone
}

func serveTrailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Checksum")
	_, _ = io.WriteString(w, "a body with a trailer\n") // the client is gone
	w.Header().Set("X-Checksum", "sum-of-22-bytes")
}

func serveAbort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = io.WriteString(w, "half of a body")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // net/http's way to cut an answer
}

func serveSSE(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	gap := time.Duration(number(req, "gap", 0)) * time.Millisecond
	for i := range number(req, "n", 3) {
		if i > 0 && gap > 0 && !wait(req, gap) {
			return
		}
		if _, err := fmt.Fprintf(w, "id: %d\nevent: tick\ndata: {\"tick\":%d}\n\n", i, i); err != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
	}
}

// serveWebSocket echoes messages until the client closes or r is closed.
func (r *rack) serveWebSocket(w http.ResponseWriter, req *http.Request) {
	r.upgraded(w, req, "echo.test", func(c *websocket.Conn, req *http.Request) {
		if number(req, "greet", 0) != 0 && c.WriteMessage(websocket.TextMessage, []byte("welcome")) != nil {
			return
		}
		for {
			kind, message, err := c.ReadMessage()
			if err != nil || c.WriteMessage(kind, message) != nil {
				return
			}
		}
	})
}

// upgraded has serve serve a WebSocket of the subprotocol called protocol, if the
// client offers that, until it returns or r is closed.
func (r *rack) upgraded(w http.ResponseWriter, req *http.Request, protocol string, serve func(*websocket.Conn, *http.Request)) {
	r.running.Add(1) // hijacking takes the connection out of ConnState's count
	defer r.running.Done()
	upgrader := websocket.Upgrader{
		Subprotocols:      []string{protocol},
		EnableCompression: true,
		CheckOrigin:       func(*http.Request) bool { return true },
	}
	c, err := upgrader.Upgrade(w, req, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer c.Close()
	release, ok := r.hold(c.NetConn())
	if !ok {
		return
	}
	defer release()
	serve(c, req)
}
