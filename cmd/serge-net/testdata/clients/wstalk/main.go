// Command wstalk does on the WebSocket at the URL in its first argument what the
// others say, and prints what it hears, in a line: "hear" waits for a message,
// "close" closes and waits for the end, "leave" goes without a word, anything else
// is said.
package main

import (
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/gorilla/websocket"
)

func main() {
	c, _, err := websocket.DefaultDialer.Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	var heard []string
	for _, what := range os.Args[2:] {
		var err error
		switch what {
		case "leave":
			c.NetConn().Close()
		case "hear", "close":
			if what == "close" {
				_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")) // the end tells
			}
			var m []byte
			if _, m, err = c.ReadMessage(); err == nil {
				heard = append(heard, string(m))
			}
		default:
			err = c.WriteMessage(websocket.TextMessage, []byte(what))
		}
		if err != nil {
			heard = append(heard, err.Error())
			break
		}
	}
	fmt.Println(strings.Join(heard, ", "))
}
