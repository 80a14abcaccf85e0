package cassette

import (
	"bytes"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// A talker is the client of calls that are played.
type talker struct {
	y     exchange.Play
	heard []string
	buf   []byte
}

func (c *talker) event(e exchange.Event) {
	e.Stream = 1
	err := c.y.Event(e, func(e exchange.Event) error {
		switch e.Kind {
		case exchange.KindHead:
			c.heard = append(c.heard, "head")
		case exchange.KindData:
			c.buf = append(c.buf, e.Data...)
			all, rest := cutFrames(c.buf)
			for _, f := range all {
				c.heard = append(c.heard, protoView(f.data, 0).compact())
			}
			c.buf = bytes.Clone(rest)
		case exchange.KindEnd:
			c.heard = append(c.heard, "end "+e.End.How.String())
		}
		return nil
	})
	if err != nil {
		c.heard = append(c.heard, strings.Split(err.Error(), "\n  to ")[0])
	}
}

// TestDuplex plays calls in which both sides speak in turn.
func TestDuplex(t *testing.T) {
	n := func(v uint64) string { return numeral(1, v) }
	one := []callTurn{sent(n(1)), received(n(10)), sent(n(2)), received(n(20)), over, done}
	other := []callTurn{sent(n(1)), received(n(10)), sent(n(3)), received(n(30)), over, done}
	for _, c := range []struct {
		name     string
		recorded [][]callTurn
		live     []callTurn
		want     string
	}{
		{"in turn", [][]callTurn{one}, one, `head {"1":10} {"1":20} end complete`},
		{"nothing before it is due", [][]callTurn{one}, one[:1], `head {"1":10}`},
		{"another, as it turns out", [][]callTurn{one, other}, other, `head {"1":10} {"1":30} end complete`},
		{"another from the start", [][]callTurn{other, {sent(n(7)), received(n(70)), over, done}}, []callTurn{sent(n(7)), over}, `head {"1":70} end complete`},
		{"the head before anything is said", [][]callTurn{{answers, sent(n(1)), received(n(2)), over, done}}, nil, `head`},
		{"the server speaks first", [][]callTurn{{received(n(9)), sent(n(1)), over, done}}, []callTurn{sent(n(1)), over}, `head {"1":9} end complete`},
		{"the server ends first", [][]callTurn{{sent(n(1)), done, over}}, []callTurn{sent(n(1)), sent(n(2)), over}, `head end complete`},
		{"not in turn, so at the end", [][]callTurn{{sent(n(1)), sent(n(2)), over, received(n(3)), done}}, []callTurn{sent(n(1)), sent(n(2)), over}, `head {"1":3} end complete`},
		{"unary, where others were in turn", [][]callTurn{one, {sent(n(5)), over, received(n(50)), done}}, []callTurn{sent(n(5)), over}, `head {"1":50} end complete`},
		{"the client leaves", [][]callTurn{{sent(n(1)), received(n(2)), leaves, silence}}, []callTurn{sent(n(1))}, `head {"1":2} end read_timeout`},
		{"another word", [][]callTurn{one}, []callTurn{sent(n(1)), sent(n(4))}, `head {"1":10} miss: POST http://api.example.com/echo.Echo/Talk
  the client says what was not recorded here
  nearest: MESSAGE http://api.example.com/echo.Echo/Talk (served 0/1)
    body field 1: 2 -> 4`},
		{"another first word", [][]callTurn{one}, []callTurn{sent(n(4))}, `miss: POST http://api.example.com/echo.Echo/Talk
  the client says what was not recorded here
  nearest: MESSAGE http://api.example.com/echo.Echo/Talk (served 0/1)
    body field 1: 1 -> 4`},
		{"an end too early", [][]callTurn{one}, []callTurn{sent(n(1)), over}, `head {"1":10} miss: POST http://api.example.com/echo.Echo/Talk
  the client says what was not recorded here
  nearest: MESSAGE http://api.example.com/echo.Echo/Talk (served 0/1)
    message: gRPC message of 2 bytes: "\b\x02" -> the end of what it says`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls [][]exchange.Event
			for _, turns := range c.recorded {
				calls = append(calls, callEvents(nil, turns...))
			}
			s, text := recordCalls(t, RecordOptions{}, calls...)
			p := playerOf(t, load(t, s, "x"), PlayOptions{})
			y, err := p.Open(origin())
			if err != nil {
				t.Fatal(err)
			}
			live := &talker{y: y}
			for _, e := range callEvents(nil, c.live...) {
				if e.From == exchange.Client {
					live.event(e)
				}
			}
			y.Close()
			if got := strings.Join(live.heard, " "); got != c.want {
				t.Errorf("the client heard %s\nwant %s\n%s", got, c.want, text)
			}
			tally, missed := p.Tally(), strings.Contains(c.want, "miss:")
			if served := strings.HasPrefix(c.want, "head"); tally.Served != map[bool]int{true: 1}[served] || tally.Missed != map[bool]int{true: 1}[missed] {
				t.Errorf("%d served, %d missed", tally.Served, tally.Missed)
			}
		})
	}
}
