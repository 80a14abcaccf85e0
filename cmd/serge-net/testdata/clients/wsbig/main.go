// Command wsbig sends a binary message of as many zero bytes as its second argument
// says to the WebSocket at the URL in its first, in one frame, and prints the text
// that comes back, and the length and the SHA-256 of the message behind it. It holds
// neither message.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/gorilla/websocket"
)

func main() {
	size, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	c, _, err := websocket.DefaultDialer.Dial(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := send(c.NetConn(), size); err != nil {
		log.Fatal(err)
	}
	_, text, err := c.ReadMessage()
	if err != nil {
		log.Fatal(err)
	}
	_, r, err := c.NextReader()
	if err != nil {
		log.Fatal(err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n%d %x\n", text, n, sum.Sum(nil))
	_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
	_, _, err = c.ReadMessage()
	fmt.Println(err)
}

// send sends a message of size zero bytes. Masked with zero they are what they are.
func send(w io.Writer, size int64) error {
	b := bufio.NewWriterSize(w, 64<<10)
	b.Write([]byte{0x82, 0x80 | 127, 0, 0, 0, byte(size >> 32), byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size), 0, 0, 0, 0})
	zeros := make([]byte, 64<<10)
	for left := size; left > 0; left -= int64(len(zeros)) {
		b.Write(zeros[:min(left, int64(len(zeros)))])
	}
	return b.Flush()
}
