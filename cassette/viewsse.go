package cassette

import (
	"fmt"
	"strings"
	"time"
)

// An eventStyle is how a server writes text/event-stream.
type eventStyle struct{ name, colon, end string }

// eventStyles are those that differ and can be shown.
func eventStyles() []eventStyle {
	return []eventStyle{
		{"spaced", ": ", "\n"},
		{"tight", ":", "\n"},
		{"spaced+crlf", ": ", "\r\n"},
		{"tight+crlf", ":", "\r\n"},
	}
}

// commentKey is what a line that begins with a colon is shown as. The text is
// all that follows the colon.
const commentKey = "comment"

// timeKey is the member of an event that is no field of it: when it came, in
// milliseconds after the head. It is read; what is written has it in timing.
const timeKey = "at_ms"

// eventsView shows b as a list of events, in the first style that gives b back,
// or is nil. Lines of the same field that follow each other are one text.
func eventsView(b string) *node {
	for _, s := range eventStyles() {
		if n := s.parse(b); n != nil {
			return (&node{}).add("sse", n).add("style", strNode(s.name))
		}
	}
	return nil
}

// parse is b as events in style s, or nil.
func (s eventStyle) parse(b string) *node {
	text, whole := strings.CutSuffix(b, s.end+s.end)
	if !whole {
		return nil // it was cut, or does not end as events do
	}
	events := list()
	for block := range strings.SplitSeq(text, s.end+s.end) {
		e := s.event(block)
		if e == nil {
			return nil
		}
		events.kids = append(events.kids, e)
	}
	if string(s.print(events)) != b {
		return nil
	}
	return events
}

// event is the lines of one event, or nil.
func (s eventStyle) event(block string) *node {
	e := &node{}
	var key string
	var lines []string
	put := func() { e.add(key, strNode(escape(strings.Join(lines, "\n")))) }
	for line := range strings.SplitSeq(block, s.end) {
		name, value, ok := strings.Cut(line, s.colon)
		if strings.HasPrefix(line, ":") {
			name, value, ok = commentKey, line[1:], true
		} else if name == commentKey || name == timeKey {
			ok = false
		}
		if !ok || strings.ContainsAny(name, ":{") || strings.Contains(value, "\n") {
			return nil
		}
		if name != key && lines != nil {
			put()
			lines = nil
		}
		if lines == nil && e.get(name) != nil {
			return nil // a JSON object has a key once
		}
		key, lines = name, append(lines, value)
	}
	put()
	return e
}

// print gives the bytes of events in style s.
func (s eventStyle) print(events *node) []byte {
	var b strings.Builder
	for _, e := range events.elements() {
		for _, m := range e.members() {
			start := m.key + s.colon
			switch m.key {
			case timeKey:
				continue
			case commentKey:
				start = ":"
			}
			for line := range strings.SplitSeq(unescape(m.val.scalar()), "\n") {
				b.WriteString(start + line + s.end)
			}
		}
		b.WriteString(s.end)
	}
	return []byte(b.String())
}

// eventStyleOf is the style called name.
func eventStyleOf(name string) (eventStyle, error) {
	for _, s := range eventStyles() {
		if s.name == name || name == "" {
			return s, nil
		}
	}
	return eventStyle{}, unknownStyle(name)
}

// printEvents gives the bytes that eventsView shows.
func printEvents(n *node, name string) ([]byte, error) {
	s, err := eventStyleOf(name)
	if err != nil {
		return nil, err
	}
	return s.print(n), nil
}

// eventChunks is how a body was cut, if it is shown as events that say when they
// came: each is a chunk. Cassettes that were written by hand have it so.
func (m *Message) eventChunks(n *node) error {
	events := n.get("sse").elements()
	if n.get("chunks") != nil || n.get("wire") != nil || len(events) == 0 || events[0].get(timeKey) == nil {
		return nil
	}
	s, err := eventStyleOf(n.text("style"))
	if err != nil {
		return err
	}
	for i, e := range events {
		at := time.Duration(e.number(timeKey)) * time.Millisecond
		if at < 0 {
			return fmt.Errorf("/sse/%d/%s: %d is not a time", i, timeKey, e.number(timeKey))
		}
		m.chunk(int64(len(s.print(list(e)))))
		m.times = append(m.times, at)
	}
	return nil
}
