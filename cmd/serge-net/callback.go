package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/cassette"
)

// callbackPatience is how long a match callback may take for an answer: a client
// waits for it.
const callbackPatience = 10 * time.Second

// A callback is a process that says which recording a request is, in JSON, a line
// for a question and a line for its answer. It is started with the first question
// and asked one question at a time. Once it failed, it is asked no more: every
// later question fails as the first did. It is safe for concurrent use.
type callback struct {
	argv []string

	mu      sync.Mutex
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.ReadCloser
	answers chan []byte // its lines; closed at its end
	asked   int         // questions
	reading sync.WaitGroup
	broken  error
}

// A callbackRequest is a request as a callback reads it.
type callbackRequest struct {
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Headers [][2]string `json:"headers"`
	Body    any         `json:"body"` // text, or {"base64": …}, or null
}

// A callbackQuestion is one line to a callback.
type callbackQuestion struct {
	Question   int                 `json:"question"` // its number, from 1
	Request    callbackRequest     `json:"request"`
	Candidates []callbackCandidate `json:"candidates"`
}

// A callbackCandidate is a recording that the request may be.
type callbackCandidate struct {
	ID      string          `json:"id"`
	Request callbackRequest `json:"request"`
}

// A callbackAnswer is one line from a callback.
type callbackAnswer struct {
	Question int     `json:"question"` // the number of what it answers
	Match    *string `json:"match"`    // a candidate's id; null: none
	Because  string  `json:"because"`
}

// ask puts q to the process.
func (c *callback) ask(q cassette.Question) (cassette.Answer, error) {
	line := callbackQuestion{Request: callbackView(q.Request)}
	for _, i := range q.Candidates {
		line.Candidates = append(line.Candidates, callbackCandidate{i.ID, callbackView(&i.Request)})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken == nil {
		c.asked++
		line.Question = c.asked
		var a callbackAnswer
		if a, c.broken = c.exchange(line); c.broken == nil {
			if a.Match == nil {
				return cassette.Answer{}, nil
			}
			return cassette.Answer{ID: *a.Match, Because: a.Because}, nil
		}
		c.stop()
		c.broken = fmt.Errorf("match callback %s: %w", shellWords(c.argv), c.broken)
	}
	return cassette.Answer{}, c.broken
}

// exchange sends a line and reads one. mu is held.
func (c *callback) exchange(q callbackQuestion) (a callbackAnswer, err error) {
	line, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	if c.cmd == nil {
		if err := c.start(); err != nil {
			return a, err
		}
	}
	patience := time.NewTimer(callbackPatience)
	defer patience.Stop()
	c.reading.Go(func() { c.in.Write(append(line, '\n')) }) // if that fails, no answer comes
	select {
	case text, ok := <-c.answers:
		switch err := json.Unmarshal(text, &a); {
		case !ok:
			return a, errors.New("it ended without an answer")
		case err != nil:
			return a, fmt.Errorf("its answer %q is not one: %w", strings.TrimSpace(string(text)), err)
		case a.Question != q.Question:
			return a, fmt.Errorf("it answers question %d; asked was %d", a.Question, q.Question)
		}
		return a, nil
	case <-patience.C:
		return a, fmt.Errorf("no answer within %v", callbackPatience)
	}
}

// start starts the process. mu is held.
func (c *callback) start() (err error) {
	c.cmd = exec.Command(c.argv[0], c.argv[1:]...)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	if c.out, err = c.cmd.StdoutPipe(); err != nil {
		return err
	}
	if err := c.cmd.Start(); err != nil {
		c.cmd = nil
		return err
	}
	out, answers := c.out, make(chan []byte, 1)
	c.answers = answers
	c.reading.Go(func() { readAnswers(out, answers) })
	return nil
}

// readAnswers gives lines to the end, and closes the channel behind them.
func readAnswers(r io.Reader, to chan<- []byte) {
	defer close(to)
	for lines := bufio.NewReader(r); ; {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		to <- text
	}
}

// close ends the process.
func (c *callback) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop()
}

// stop ends the process, by the end of its input or after a second by force. mu
// is held.
func (c *callback) stop() {
	if c.cmd == nil {
		return
	}
	c.in.Close()
	kill := time.AfterFunc(time.Second, func() {
		c.cmd.Process.Kill()
		c.out.Close() // a child of it may hold the other end
	})
	for range c.answers { // so that the reader ends
	}
	c.reading.Wait()
	kill.Stop()
	_ = c.cmd.Wait() // how it ended is nobody's concern any more
	c.cmd = nil
}

// callbackView is r as a callback reads it.
func callbackView(r *cassette.Request) callbackRequest {
	v := callbackRequest{Method: r.Method, URL: r.URL, Headers: [][2]string{}}
	same := func(mark string) string { return mark }
	for _, f := range r.Fields {
		v.Headers = append(v.Headers, [2]string{f.Name, cassette.Expand(f.Value, same)})
	}
	data, ok, err := r.Body.Whole()
	switch {
	case err != nil || !ok || len(data) == 0:
	case utf8.Valid(data):
		v.Body = string(data)
	default:
		v.Body = map[string]string{"base64": base64.StdEncoding.EncodeToString(data)}
	}
	return v
}
