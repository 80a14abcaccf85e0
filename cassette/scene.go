package cassette

import (
	"bytes"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/serge-net/serge-net/exchange"
)

// stallAfter is how long a client may take for what is due, beside the time that
// it took when recorded, until it is told what it is.
const stallAfter = 10 * time.Second

// A scene is what two sides said to each other while it is played to one of them:
// what the server said is said again when the client has said all that it had said
// before. What each of them says, and how, is its owner's to know: a dialogue or a
// call.
type scene struct {
	y     *play
	l     *live
	slot  *slot
	cues  []cue
	pace  float64                   // how much of the recorded time passes, 0 for none
	asked func(what string) Request // that, without its body, what the client says is matched as
	say   func(n int, answer func(exchange.Event) error) error
	// finish is called when all is said, and again when it asked to be.
	finish func(answer func(exchange.Event) error) error

	next   int             // the cue that is due
	done   []bool          // which of them were said
	spoken map[string]bool // random values in what was said to the client
	at     time.Duration   // what was said last, as recorded
	since  time.Time       // and when in this run
	left   bool            // leave was called
}

// A cue is one thing that was said.
type cue struct {
	from exchange.Side
	what string // its type, in a word
	body Body   // of the client, as it is compared
	at   time.Duration
}

// A remark is something that the client says.
type remark struct {
	live
	what string
}

// newScene plays s to l, of which cues are to be set.
func newScene(y *play, l *live, s *slot) scene {
	return scene{y: y, l: l, slot: s, pace: l.p.opt.Latency.Scale, since: time.Now(), spoken: map[string]bool{}}
}

// begin starts to take something in. As a request it is one of the method MESSAGE,
// which is what rules call it.
func (s *scene) begin(what string) *remark {
	return &remark{what: what, live: live{p: s.l.p, stream: s.l.stream, req: s.asked(what)}}
}

// messageMethod is the method of the requests that messages are matched as.
const messageMethod = "MESSAGE"

// hears takes cue n as said, and says what follows.
func (s *scene) hears(n int, answer func(exchange.Event) error) error {
	s.done[n] = true
	s.passed(n)
	return s.speak(answer)
}

// passed notes that cue n was said now.
func (s *scene) passed(n int) { s.at, s.since = max(s.at, s.cues[n].at), time.Now() }

// speak says what is due, up to what the client has to say before, and asks to be
// called when it is time for more.
func (s *scene) speak(answer func(exchange.Event) error) error {
	for ; s.next < len(s.cues); s.next++ {
		switch c := &s.cues[s.next]; {
		case s.done[s.next]:
		case c.from == exchange.Client:
			return answer(s.wait(stallAfter + max(c.at-s.at, 0)))
		default:
			if d := s.until(c.at); d > 0 {
				return answer(s.wait(d))
			}
			s.passed(s.next)
			if err := s.say(s.next, answer); err != nil {
				return err
			}
		}
	}
	return s.finish(answer)
}

// until is how long to wait for what was said at.
func (s *scene) until(at time.Duration) time.Duration {
	return time.Until(s.since.Add(time.Duration(s.pace * float64(at-s.at))))
}

// wait asks to be called after d, or not at all if that is 0.
func (s *scene) wait(d time.Duration) exchange.Event {
	return exchange.Event{Stream: s.l.stream, From: exchange.Client, Kind: exchange.KindWait, Pause: d}
}

// wake goes on after a pause, or tells that the client says nothing.
func (s *scene) wake(answer func(exchange.Event) error) error {
	if s.next == len(s.cues) || s.cues[s.next].from == exchange.Server {
		return s.speak(answer)
	}
	asked := s.asked(s.cues[s.next].what)
	m := &exchange.Miss{Method: asked.Method, URL: asked.URL, Caller: s.y.o.Caller}
	m.Reason = fmt.Sprintf("stalled: for %v the client has not said what it said next when recorded: %s",
		time.Since(s.since).Round(time.Second), s.cues[s.next].inBrief())
	return m
}

// window are the cues that the client may say now, in any order: those it had said
// until the server spoke, from the first on that is due.
func (s *scene) window() []int {
	var open []int
	for n := s.next; n < len(s.cues); n++ {
		switch c := &s.cues[n]; {
		case s.done[n]:
		case c.from == exchange.Server && len(open) > 0:
			return open
		case c.from == exchange.Client:
			open = append(open, n)
		}
	}
	return open
}

// match is which of the cues that may be said now u is, -1 if it is none of them:
// first one that is equal, then one that is taken for it on evidence. Behind the
// end nothing is said.
func (s *scene) match(u *remark) (int, error) {
	open := s.window()
	if u.what == cueEnd {
		if len(open) == 1 && s.cues[open[0]].what == cueEnd {
			return open[0], nil
		}
		return -1, nil
	}
	if n := slices.IndexFunc(open, func(n int) bool { return s.equals(u, n) }); n >= 0 {
		return open[n], nil
	}
	live, err := s.request(u.what, u.content())
	if err != nil {
		return -1, err
	}
	for _, n := range open {
		if s.cues[n].what != u.what {
			continue
		}
		rec, err := s.request(u.what, s.cues[n].body)
		if err != nil {
			return -1, err
		}
		if s.same(rec, live) {
			return n, nil
		}
	}
	return -1, nil
}

// equals says whether u is cue n, byte for byte, and nothing in it varies.
func (s *scene) equals(u *remark, n int) bool {
	c := &s.cues[n]
	return c.what == u.what && !c.body.marked && c.body.Size == u.size && u.sum == nil && bytes.Equal(c.body.data, u.body) &&
		nextToken(string(u.body), 0).shape == ""
}

// content is the body of u.
func (u *remark) content() Body { return bodyAs(u, u.body) }

// bodyAs is the body of u, with text in its place where that was changed.
func bodyAs(u *remark, text []byte) Body {
	if u.sum != nil {
		return Body{Size: u.size, sum: fmt.Sprintf("%x", u.sum.Sum(nil))}
	}
	return bodyOf(text)
}

// A dissected is a message taken apart as requests are.
type dissected struct {
	form  form
	atoms []atom
}

// request takes a message with the body b apart.
func (s *scene) request(what string, b Body) (dissected, error) {
	r := s.asked(what)
	r.Body = b
	f, err := s.l.p.rules.formOf(&r)
	if err != nil {
		return dissected{}, err
	}
	atoms, err := s.l.p.rules.atomsOf(&r)
	return dissected{f, atoms}, err
}

// same says whether live is taken for rec. If so, what that takes is so from then on.
func (s *scene) same(rec, live dissected) bool {
	p := s.l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	j := s.judge(live.form)
	if live.form.check != "" && !bodyFits(live.form.check, rec.form.text, live.form.text) {
		return false
	}
	if !j.try(rec.atoms, live.atoms) || p.opt.Match == MatchExact && !j.v.redacted && len(j.v.evidence) > 0 {
		return false
	}
	for mark, value := range j.v.marks {
		p.toLive[mark], p.toMark[value] = value, mark
	}
	for u, v := range j.v.names {
		p.name(u, v)
	}
	asked := s.asked("")
	for _, e := range j.v.evidence {
		p.tally.Assumptions = append(p.tally.Assumptions, Assumption{asked.Method, asked.URL, e})
	}
	return true
}

// judge compares a message of the client's: what the server has said to it is
// known, what it will say is not. p.mu is held.
func (s *scene) judge(f form) *judge {
	j := s.l.p.judge(s.slot, f)
	said := j.said
	j.said = func(token string) (int, bool) {
		n, ok := said(token)
		if ok && n == s.slot.nth {
			return n - 1, s.spoken[token]
		}
		return n, ok
	}
	return j
}

// note notes the random values in text, which is said to the client.
func (s *scene) note(text string) {
	for t := nextToken(text, 0); t.shape != ""; t = nextToken(text, t.to) {
		s.spoken[tokenKey(text[t.from:t.to], t.shape)] = true
	}
}

// renamed is text, of the recording, with the random values of this run.
func (s *scene) renamed(text string) string {
	if to := s.l.p.bound(); to != nil {
		return mapTokens(text, to)
	}
	return text
}

// nearest is the first of the cues in open with u's type, and where u differs.
func (s *scene) nearest(u *remark, open []int) *exchange.Near {
	at := max(0, slices.IndexFunc(open, func(n int) bool { return s.cues[n].what == u.what }))
	c := &s.cues[open[at]]
	asked := s.asked(c.what)
	near := &exchange.Near{Method: asked.Method, URL: asked.URL, Recorded: 1}
	rec, err := s.request(c.what, c.body)
	live, err2 := s.request(u.what, u.content())
	if err == nil && err2 == nil && c.what == u.what {
		p := s.l.p
		p.mu.Lock()
		near.Diffs = p.differAtoms(s.judge(live.form), rec.atoms, live.atoms, true)
		p.mu.Unlock()
	}
	if len(near.Diffs) == 0 {
		near.Diffs = []exchange.Diff{{At: "message", Recorded: c.inBrief(), Live: u.cue().inBrief()}}
	}
	return near
}

// cue is u as one of a scene.
func (u *remark) cue() *cue { return &cue{what: u.what, body: Body{Size: u.size, data: u.body}} }

// inBrief is c in a few words.
func (c *cue) inBrief() string {
	const most = 100
	data := c.body.data
	switch {
	case c.what == exchange.MessageText.String() && utf8.Valid(data) && len(data) <= most:
		return string(data)
	case c.what == cueEnd:
		return "the end of what it says"
	}
	return fmt.Sprintf("%v message of %d bytes: %.*q", c.what, c.body.Size, most, data[:min(most, len(data))])
}

// leave notes, once, what was not said when the stream ended.
func (s *scene) leave() {
	if s.left {
		return
	}
	s.left = true
	rest, first := 0, 0
	for n := s.next; n < len(s.cues); n++ {
		if s.done[n] {
			continue
		}
		if rest++; rest == 1 {
			first = n
		}
	}
	if rest == 0 {
		return
	}
	p, asked := s.l.p, s.asked("")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.Unsaid = append(p.tally.Unsaid, Assumption{asked.Method, asked.URL, fmt.Sprintf("%d of %d recorded messages were not said, from this on: %s", rest, len(s.cues), s.cues[first].inBrief())})
}
