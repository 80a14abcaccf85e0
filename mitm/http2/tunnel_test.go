package http2

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/serge-net/serge-net/exchange"
)

// TestServeConnect announces extended CONNECT, and keeps the stream open for both
// sides until the server ends it: what the client sends then is no fault.
func TestServeConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		var mu sync.Mutex
		var told []string
		play := func(e exchange.Event, answer func(exchange.Event) error) error {
			mu.Lock()
			told = append(told, strings.TrimSpace(map[exchange.Kind]string{exchange.KindHead: "head", exchange.KindWait: "wait", exchange.KindEnd: "end"}[e.Kind]+" "+string(e.Data)))
			mu.Unlock()
			answers := map[exchange.Kind][]exchange.Event{
				exchange.KindHead: {head(200), data("hello"), {Kind: exchange.KindWait, Pause: time.Minute}},
				exchange.KindData: {{Kind: exchange.KindWait}, data("you said " + string(e.Data))},
				exchange.KindWait: {data("are you there?"), {Kind: exchange.KindWait, Pause: time.Minute}},
			}[e.Kind]
			if string(e.Data) == "bye" {
				answers = []exchange.Event{data("bye"), ended(exchange.Complete)}
			}
			for _, a := range answers {
				if err := answer(a); err != nil {
					return err
				}
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() { (&Server{Scheme: "https", Play: play, Connect: true}).Serve(ctx, far) })
		frames := make(chan string, 20)
		serving.Go(func() { readFrames(near, frames) })

		c := newWire(Preface)
		c.WriteSettings()
		c.headers(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/")
		near.Write(c.Bytes())
		synctest.Wait()
		time.Sleep(90 * time.Second) // of the bubble: it is called once
		for _, say := range []string{"one", "bye", "late"} {
			c.Reset()
			c.WriteData(1, say == "late", []byte(say))
			near.Write(c.Bytes())
			synctest.Wait()
		}
		c.Reset()
		c.WritePing(false, [8]byte{1})
		near.Write(c.Bytes())
		synctest.Wait()
		cancel()
		serving.Wait()
		close(frames)
		var got []string
		for f := range frames {
			got = append(got, f)
		}
		want := []string{"connect 1", "headers 1", "data hello", "data are you there?", "data you said one", "data bye", "end", "ping"}
		if !slices.Equal(got, want) {
			t.Errorf("the client saw %q; want %q", got, want)
		}
		if want := []string{"head", "wait", "one", "bye", "end"}; !slices.Equal(told, want) {
			t.Errorf("the player was told %q; want %q", told, want)
		}
	})
}

// readFrames tells what a server sends, but for windows and acknowledgements.
func readFrames(c net.Conn, tell chan<- string) {
	frames := http2.NewFramer(nil, c)
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if v, ok := f.Value(http2.SettingEnableConnectProtocol); ok {
				tell <- "connect " + string('0'+byte(v))
			}
		case *http2.HeadersFrame:
			tell <- "headers 1"
		case *http2.DataFrame:
			if len(f.Data()) > 0 {
				tell <- "data " + string(f.Data())
			}
			if f.StreamEnded() {
				tell <- "end"
			}
		case *http2.PingFrame:
			tell <- "ping"
		default:
			if f.Header().Type != http2.FrameWindowUpdate {
				tell <- f.Header().String()
			}
		}
	}
}
