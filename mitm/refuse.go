package mitm

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/serge-net/serge-net/exchange"
)

// missStatus answers a request that misses: 501, which no SDK retries, as many
// do 429 and 502 to 504.
const missStatus = http.StatusNotImplemented

// A Refusal is how a request is answered that misses. The zero value is a 501.
type Refusal struct {
	Status int  // another status, 400 to 599; 0: 501
	Reset  bool // no answer: the connection, or the stream, is reset
}

// answer answers the request that ended with e by m.
func (r Refusal) answer(m *exchange.Miss, e exchange.Event, answer func(exchange.Event) error) error {
	if r.Reset {
		return answer(exchange.Event{Stream: e.Stream, From: exchange.Server, Kind: exchange.KindEnd, At: e.At, End: &exchange.End{How: exchange.Reset, Err: "it missed"}})
	}
	events := r.plain(m)
	if m.Call != "" {
		events = r.call(m)
	}
	for _, r := range events {
		r.Stream, r.From, r.At = e.Stream, exchange.Server, e.At
		if err := answer(r); err != nil {
			return err
		}
	}
	return nil
}

// plain is the answer to a request that misses by m.
func (r Refusal) plain(m *exchange.Miss) []exchange.Event {
	status := cmp.Or(r.Status, missStatus)
	body, media := []byte("serge-net: "+m.Error()+"\n"), "text/plain; charset=utf-8"
	if m.JSON {
		body, media = append(m.Encode(), '\n'), "application/json"
	}
	head := &exchange.Head{
		Status:  status,
		Reason:  http.StatusText(status),
		Version: "1.1",
		Fields: []exchange.Field{
			{Name: "Content-Type", Value: media},
			{Name: "Content-Length", Value: strconv.Itoa(len(body))},
			{Name: "Cache-Control", Value: "no-store"},
			{Name: "Connection", Value: "close"},
			{Name: "Serge-Net-Miss", Value: "1"},
		},
	}
	events := []exchange.Event{
		{Kind: exchange.KindHead, Head: head},
		{Kind: exchange.KindData, Data: body},
		{Kind: exchange.KindEnd, End: &exchange.End{}},
	}
	if m.Method == http.MethodHead {
		events = append(events[:1], events[2])
	}
	return events
}
