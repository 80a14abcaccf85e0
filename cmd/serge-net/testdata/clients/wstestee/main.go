// Command wstestee is a client under test by the Autobahn test suite's fuzzing
// server at the URL in its first argument: it echoes what each case says, and
// prints of each what it heard, as a digest, and how it ended. Its second argument
// is the name that it is tested as.
package main

import (
	"crypto/sha256"
	"fmt"
	"log"
	"net/url"
	"os"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

func main() {
	at, agent := os.Args[1], url.QueryEscape(os.Args[2])
	var count int
	c := dial(at + "/getCaseCount")
	if err := c.ReadJSON(&count); err != nil {
		log.Fatal(err)
	}
	c.Close()
	for n := 1; n <= count; n++ {
		fmt.Println(name(at, n), run(fmt.Sprintf("%s/runCase?case=%d&agent=%s", at, n, agent)))
	}
	dial(at + "/updateReports?agent=" + agent).Close()
}

func dial(at string) *websocket.Conn {
	dialer := websocket.Dialer{EnableCompression: true}
	c, _, err := dialer.Dial(at, nil)
	if err != nil {
		log.Fatalf("%s: %v", at, err)
	}
	return c
}

// name is the number of the suite's case n.
func name(at string, n int) string {
	c := dial(fmt.Sprintf("%s/getCaseInfo?case=%d", at, n))
	defer c.Close()
	var info struct{ ID string }
	if err := c.ReadJSON(&info); err != nil {
		log.Fatal(err)
	}
	return info.ID
}

// run is how the case at the URL at went.
func run(at string) string {
	dialer := websocket.Dialer{EnableCompression: true}
	c, _, err := dialer.Dial(at, nil)
	if err != nil {
		return err.Error() // gorilla takes no context, and no window of another size
	}
	return echo(c)
}

// echo says what it hears, until that ends.
func echo(c *websocket.Conn) string {
	defer c.Close()
	heard, messages := sha256.New(), 0
	for {
		t, b, err := c.ReadMessage()
		if err != nil {
			return fmt.Sprintf("%d messages %x, %v", messages, heard.Sum(nil)[:4], err)
		}
		messages++
		fmt.Fprintf(heard, "%d %d\n%s", t, len(b), b)
		if t == websocket.TextMessage && !utf8.Valid(b) { // that is for the program to see to
			t, b = websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseInvalidFramePayloadData, "")
		}
		_ = c.WriteMessage(t, b) // that the other end has gone is what the next read tells
	}
}
