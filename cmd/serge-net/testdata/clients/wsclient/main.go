// Command wsclient talks to the WebSocket at the URL in its first argument: it
// prints the handshake's status and each message that comes back for the rest of
// its arguments, a text message each, and one binary message of 70000 bytes.
package main

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"github.com/gorilla/websocket"
)

func main() {
	dialer := websocket.Dialer{Subprotocols: []string{"echo.test"}}
	c, res, err := dialer.Dial(os.Args[1], nil)
	if res != nil {
		fmt.Println(res.Status, res.Header.Get("Sec-WebSocket-Protocol"))
	}
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	for _, m := range os.Args[2:] {
		if err := c.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			log.Fatal(err)
		}
		_, back, err := c.ReadMessage()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", back)
	}
	big := bytes.Repeat([]byte("0123456789"), 7000)
	if err := c.WriteMessage(websocket.BinaryMessage, big); err != nil {
		log.Fatal(err)
	}
	_, back, err := c.ReadMessage()
	fmt.Println(len(back), bytes.Equal(big, back), err)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye")
	if err := c.WriteMessage(websocket.CloseMessage, bye); err != nil {
		log.Fatal(err)
	}
	_, _, err = c.ReadMessage()
	fmt.Println(err)
}
