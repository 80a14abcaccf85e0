package mitm

import (
	"fmt"
	"net"
	"net/http"

	"github.com/serge-net/serge-net/exchange"
)

// admit tells a client that asked for its origin in words that it is there. A
// diverted one believes that already.
func admit(c net.Conn) {
	inform(c, nil)
}

// inform tells a client that asked in words what came of it, if it still can be told.
func inform(c net.Conn, err error) bool {
	p, ok := c.(*peeked)
	return ok && p.say != nil && p.say(err)
}

// answers has p's client told once, in words, whether its origin is there.
func (p *peeked) answers(words func(error) []byte) {
	told := false
	p.waits = true
	p.say = func(err error) bool {
		if told {
			return false
		}
		told = true
		_, werr := p.Write(words(err))
		return werr == nil
	}
}

// apology is an answer by which an HTTP proxy says why there is no other.
func apology(status int, method string, err error) []byte {
	body := "serge-net: " + exchange.Visible(err.Error()) + "\n"
	head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"+
		"Cache-Control: no-store\r\nConnection: close\r\n\r\n", status, http.StatusText(status), len(body))
	if method == http.MethodHead {
		return []byte(head)
	}
	return []byte(head + body)
}

// connectAnswer is what a CONNECT request gets (RFC 9110 section 9.3.6).
func connectAnswer(err error) []byte {
	if err != nil {
		return apology(http.StatusBadGateway, http.MethodConnect, err)
	}
	return []byte("HTTP/1.1 200 Connection established\r\n\r\n")
}
