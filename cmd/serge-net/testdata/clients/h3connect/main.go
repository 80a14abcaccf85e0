// Command h3connect opens a tunnel over HTTP/3 to the URL in its last argument, and
// prints what comes of it: of WebTransport the echo of a datagram;
// with -websocket the answer to an extended CONNECT of RFC 9220, which -force asks
// for though the server does not offer it.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/webtransport-go"
)

func main() {
	websocket := flag.Bool("websocket", false, "")
	force := flag.Bool("force", false, "")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	start := time.Now()
	tunnel := transport
	if *websocket {
		tunnel = func(ctx context.Context, url string) error { return socket(ctx, url, *force) }
	}
	if err := tunnel(ctx, flag.Arg(0)); err != nil {
		fmt.Println("error:", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		fmt.Println("after", took)
	}
}

// transport tries WebTransport.
func transport(ctx context.Context, to string) error {
	var t webtransport.Transport
	defer t.Close()
	res, s, err := t.Dial(ctx, to, nil)
	if err != nil {
		return err
	}
	defer s.CloseWithError(0, "")
	fmt.Println("status", res.StatusCode)
	if err := s.SendDatagram([]byte("a datagram")); err != nil {
		return err
	}
	b, err := s.ReceiveDatagram(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", b)
	return nil
}

// socket tries a WebSocket.
func socket(ctx context.Context, to string, force bool) error {
	u, err := url.Parse(to)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := quic.DialAddr(ctx, u.Host, &tls.Config{NextProtos: []string{"h3"}}, nil)
	if err != nil {
		return err
	}
	defer conn.CloseWithError(0x100, "")
	client := new(http3.Transport).NewClientConn(conn)
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		return ctx.Err()
	}
	if !client.Settings().EnableExtendedConnect {
		fmt.Println("not offered")
		if !force {
			return nil
		}
	}
	stream, err := client.OpenRequestStream(ctx)
	if err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodConnect, Proto: "websocket", URL: u, Host: u.Host,
		Header: http.Header{"Sec-Websocket-Version": {"13"}}}
	if err := stream.SendRequestHeader(req.WithContext(ctx)); err != nil {
		return err
	}
	res, err := stream.ReadResponse()
	if err != nil {
		return err
	}
	fmt.Println("status", res.StatusCode)
	return nil
}
