package cassette

import (
	"slices"

	"github.com/serge-net/serge-net/exchange"
)

// steady is what was said in i, a conversation, without what databases make up for each
// connection: so that two recordings of the same are seen to be.
func (i *Interaction) steady() []Message {
	ms, _ := withoutSCRAM(slices.Clone(i.Upgraded))
	if login := mysqlLogin(ms); login >= 0 {
		ms[0].Body = ms[0].Body.changed(withoutNonce)
		ms[login].Body = ms[login].Body.changed(withoutProof)
		return ms
	}
	for n := range ms {
		switch asks, _ := pgAsks(ms[n]); {
		case asks < 0:
			continue
		case asks == pgMD5 && n+1 < len(ms) && pgSays(ms[n+1]):
			ms[n+1].Body = ms[n+1].Body.changed(func(b []byte) []byte { return b[:1] })
		}
		ms[n].Body = ms[n].Body.changed(withoutKeys)
	}
	return ms
}

// changed is b with its bytes changed, if they are in memory and have no secrets in them.
func (b Body) changed(to func([]byte) []byte) Body {
	data, ok, err := b.Whole()
	if !ok || err != nil || b.marked {
		return b
	}
	return bodyOf(to(data))
}

// conversationDiffs is where two conversations differ, by what each side said in all.
func conversationDiffs(a, b *Interaction) []exchange.Diff {
	var out []exchange.Diff
	for _, side := range []exchange.Side{exchange.Client, exchange.Server} {
		x, y := lane(a.steady(), side), lane(b.steady(), side)
		if !sameBody(content{Body: x}, content{Body: y}) {
			out = append(out, exchange.Diff{At: "what the " + side.String() + " said", Recorded: content{Body: x}.brief(), Live: content{Body: y}.brief()})
		}
	}
	return out
}
