package cassette

import (
	"fmt"
	"strings"
	"time"
)

// An eventStyle is how a server writes text/event-stream, and JSON in it: a json
// without a name is none.
type eventStyle struct {
	name, colon, end string
	json             style
}

// eventStyles are those that differ and can be shown, but for their JSON.
func eventStyles() []eventStyle {
	return []eventStyle{
		{name: "spaced", colon: ": ", end: "\n"},
		{name: "tight", colon: ":", end: "\n"},
		{name: "spaced+crlf", colon: ": ", end: "\r\n"},
		{name: "tight+crlf", colon: ":", end: "\r\n"},
	}
}

// commentKey is what a line that begins with a colon is shown as. The text is
// all that follows the colon.
const commentKey = "comment"

// timeKey is the member of an event that is no field of it: when it came, in
// milliseconds after the head. It is read; what is written has it in timing.
const timeKey = "at_ms"

// fullName is s's name in a cassette.
func (s eventStyle) fullName() string {
	if plain, _ := lineStyleOf(""); s.json.name == "" || s.json.name == plain.name {
		return s.name
	}
	return s.name + "+json+" + s.json.name
}

// dataKey and jsonKey are what data is shown as: as text, or as JSON if it is
// that. A field called json is a text too.
const (
	dataKey = "data"
	jsonKey = "json"
)

// eventsView shows b as a list of events, in the first style that gives b back,
// or is nil. Lines of the same field that follow each other are one text. What
// is behind the last whole event, as in a stream that was cut, is the rest.
func eventsView(b string) *node {
	for _, s := range eventStyles() {
		at := strings.LastIndex(b, s.end+s.end)
		if at < 0 {
			continue
		}
		whole, rest := b[:at+2*len(s.end)], b[at+2*len(s.end):]
		if n := s.parse(whole); n != nil {
			return withRest((&node{}).add("sse", n).add("style", strNode(s.fullName())), rest)
		}
	}
	return nil
}

// parse is b, whole events, as a list of them in style s, or nil. It finds out the
// style of their JSON.
func (s *eventStyle) parse(b string) *node {
	events := list()
	for block := range strings.SplitSeq(strings.TrimSuffix(b, s.end+s.end), s.end+s.end) {
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
func (s *eventStyle) event(block string) *node {
	e := &node{}
	var key string
	var lines []string
	put := func() {
		text := strings.Join(lines, "\n")
		if v := s.json.lineView(text); key == dataKey && v != nil {
			e.add(jsonKey, v)
			return
		}
		e.add(key, strNode(escape(text)))
	}
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
		if lines == nil && (e.get(name) != nil || (name == dataKey || name == jsonKey) && (e.get(dataKey) != nil || e.get(jsonKey) != nil)) {
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
			switch {
			case m.key == timeKey:
				continue
			case m.key == commentKey:
				start = ":"
			case m.key == jsonKey && m.val.kind != 's':
				b.WriteString(dataKey + s.colon + s.json.line(m.val) + s.end)
				continue
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
		if name == s.name || name == "" {
			s.json, _ = lineStyleOf("") // which there is
			return s, nil
		}
		if json, ok := strings.CutPrefix(name, s.name+"+json+"); ok {
			var err error
			s.json, err = lineStyleOf(json)
			return s, err
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
	if rest := len(unescape(n.text("rest"))); rest > 0 {
		m.chunk(int64(rest))
	}
	return nil
}
