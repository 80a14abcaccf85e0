package testnet

import (
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A stream is an answer that comes in pieces, each flushed before the next.
type stream struct {
	w   http.ResponseWriter
	z   *gzip.Writer // what is said is compressed, if not nil
	req *http.Request
	gap time.Duration // between two pieces
	n   int           // said so far
}

// say sends a piece, a gap after the one before, and is false if the client left.
func (s *stream) say(format string, args ...any) bool {
	if s.n++; s.n > 1 && s.gap > 0 && !wait(s.req, s.gap) {
		return false
	}
	to := io.Writer(s.w)
	if s.z != nil {
		to = s.z
	}
	if _, err := fmt.Fprintf(to, format, args...); err != nil || s.z != nil && s.z.Flush() != nil {
		return false
	}
	return http.NewResponseController(s.w).Flush() == nil
}

// A streamKind is what is at /stream/NAME.
type streamKind struct {
	media string
	serve func(s *stream)
}

// streamKinds are those there are, by name. The events of acked wait for acks.
func streamKinds(acks <-chan struct{}) map[string]streamKind {
	const events = "text/event-stream"
	return map[string]streamKind{
		"acked":   {events, func(s *stream) { s.acked(acks) }},
		"ids":     {events, (*stream).ids},
		"endless": {events, (*stream).endless},
		"cut":     {events, (*stream).cut},
		"lines":   {"application/x-ndjson", (*stream).lines},
		"secret":  {events, (*stream).secret},
		"chat":    {events, (*stream).chat},
		"message": {events, (*stream).message},
	}
}

// serveStreams puts them into mux, and what acknowledges at /ack: gap is the
// milliseconds between two pieces, gzip=1 compresses them.
func serveStreams(mux *http.ServeMux) {
	acks := make(chan struct{})
	kinds := streamKinds(acks)
	serve := func(name string, w http.ResponseWriter, req *http.Request) {
		kind, ok := kinds[name]
		if !ok {
			http.NotFound(w, req)
			return
		}
		_, _ = io.Copy(io.Discard, req.Body) // it is the client's to send it
		w.Header().Set("Content-Type", kind.media)
		w.Header().Set("Cache-Control", "no-store")
		s := &stream{w: w, req: req, gap: time.Duration(number(req, "gap", 0)) * time.Millisecond}
		if number(req, "gzip", 0) != 0 {
			w.Header().Set("Content-Encoding", "gzip")
			s.z = gzip.NewWriter(w)
			defer s.z.Close()
		}
		kind.serve(s)
	}
	mux.HandleFunc("/stream/{name}", func(w http.ResponseWriter, req *http.Request) { serve(req.PathValue("name"), w, req) })
	mux.HandleFunc("/v1/chat/completions", func(w http.ResponseWriter, req *http.Request) { serve("chat", w, req) })
	mux.HandleFunc("/v1/messages", func(w http.ResponseWriter, req *http.Request) { serve("message", w, req) })
	mux.HandleFunc("/ack", func(w http.ResponseWriter, req *http.Request) {
		select {
		case acks <- struct{}{}:
			w.WriteHeader(http.StatusNoContent)
		case <-req.Context().Done():
		}
	})
	mux.HandleFunc("/poll", servePoll(new(tally)))
}

// acked says n events, each but the first when the client has acknowledged the one
// before at /ack.
func (s *stream) acked(acks <-chan struct{}) {
	for n := range number(s.req, "n", 3) {
		if n > 0 {
			select {
			case <-acks:
			case <-s.req.Context().Done():
				return
			}
		}
		if !s.say("data: %d\n\n", n) {
			return
		}
	}
}

// ids says two events of six after the one that the client had last, and
// ends: it comes back for more until it gets 204.
func (s *stream) ids() {
	last, _ := strconv.Atoi(s.req.Header.Get("Last-Event-ID")) // 0 if there is none
	if last >= 6 {
		s.w.WriteHeader(http.StatusNoContent)
		return
	}
	s.say("retry: 20\n\n")
	for id := last + 1; id <= last+2; id++ {
		s.say("id: %d\nevent: tick\ndata: {\"id\":%d}\n\n", id, id)
	}
}

// endless says n events, and nothing more until the client leaves.
func (s *stream) endless() {
	for n := range number(s.req, "n", 3) {
		if !s.say("id: %d\ndata: %d\n\n", n, n) {
			return
		}
	}
	<-s.req.Context().Done()
}

// cut breaks off in the middle of an event.
func (s *stream) cut() {
	s.say("data: {\"n\":1}\n\n")
	s.say("data: {\"n\"")
	panic(http.ErrAbortHandler) // net/http's way to cut an answer
}

// lines says n lines of JSON.
func (s *stream) lines() {
	for n := range number(s.req, "n", 3) {
		if !s.say("{\"n\":%d,\"done\":%t}\n", n, n == number(s.req, "n", 3)-1) {
			return
		}
	}
}

// StreamToken is a secret that /stream/secret says.
const StreamToken = "ghp_3Fq8vXc2LzT7rWm5KjY0bNs4HdPa9Gu1EoCi"

// secret says StreamToken, once in two pieces.
func (s *stream) secret() {
	s.say("data: {\"token\":\"%s", StreamToken[:20])
	s.say("%s\"}\n\n", StreamToken[20:])
	s.say("data: {\"as\":\"%s\"}\n\n", StreamToken)
}

// words are what a language model says.
func words() []string {
	return strings.SplitAfter(strings.Repeat("The quick brown fox jumps over the lazy dog, and then it says so. ", 20), " ")
}

// chat is a completion as OpenAI's servers stream it: an id of its own for
// every run, a word an event, and [DONE].
func (s *stream) chat() {
	id, now := "chatcmpl-"+rand.Text(), time.Now().Unix()
	chunk := func(delta, finish string) bool {
		return s.say("data: {\"id\":%q,\"object\":\"chat.completion.chunk\",\"created\":%d,\"model\":\"fox-1\",\"choices\":[{\"index\":0,\"delta\":{%s},\"finish_reason\":%s}]}\n\n", id, now, delta, finish)
	}
	chunk(`"role":"assistant","content":""`, "null")
	for _, w := range words() {
		if !chunk(fmt.Sprintf(`"content":%q`, w), "null") {
			return
		}
	}
	chunk("", `"stop"`)
	s.say("data: [DONE]\n\n")
}

// message is a message as Anthropic's servers stream it.
func (s *stream) message() {
	say := func(kind, rest string) bool {
		return s.say("event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, rest)
	}
	say("message_start", fmt.Sprintf(`,"message":{"id":"msg_%s","type":"message","role":"assistant","model":"fox-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}`, rand.Text()))
	say("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
	say("ping", "")
	for _, w := range words() {
		if !say("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, w)) {
			return
		}
	}
	say("content_block_stop", `,"index":0`)
	say("message_delta", `,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":280}`)
	say("message_stop", "")
}

// servePoll is a long poll: every other time there is nothing to tell.
func servePoll(polls *tally) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if !wait(req, time.Duration(number(req, "ms", 50))*time.Millisecond) {
			return
		}
		if n := polls.add(""); n%2 == 0 {
			_, _ = fmt.Fprintf(w, "news %d\n", n/2) // the client is gone
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
