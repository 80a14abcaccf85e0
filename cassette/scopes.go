package cassette

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/serge-net/serge-net/exchange"
)

// ErrScope is wrapped when a scope cannot be begun or ended.
var ErrScope = errors.New("cassette: no such scope to begin or end")

// Scopes plays several cassettes at once: one for each scope that is open, such
// as a test among others that run at the same time, and one that all share. A
// scope's exchanges are answered from its own cassette, and where that has no
// answer from the shared one; never from another scope's. How far each cassette
// is used up, and what its placeholders stand for, is its own.
//
// Shared and Of are not changed once it is in use. It is safe for concurrent
// use, and implements exchange.Player.
type Scopes struct {
	Shared *Player // nil: there is none
	// Of is whose the exchange that h begins on a connection to o is: the name of
	// a scope, "" if nobody's; false if that cannot be told. It is asked for each
	// exchange: a connection may outlive a scope. Before anything is asked on it h is
	// nil.
	Of func(o exchange.Origin, h *exchange.Head) (scope string, known bool)

	mu   sync.Mutex
	open map[string]*Player
}

// Begin opens a scope that p answers.
func (s *Scopes) Begin(scope string, p *Player) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case scope == "":
		return fmt.Errorf("%w: it has no name", ErrScope)
	case s.open[scope] != nil:
		return fmt.Errorf("%w: %s is open already", ErrScope, scope)
	case s.open == nil:
		s.open = map[string]*Player{}
	}
	s.open[scope] = p
	return nil
}

// End closes a scope and returns its player, whose Tally says what it was used
// for. What is being answered is answered to its end.
func (s *Scopes) End(scope string) (*Player, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.open[scope]
	if p == nil {
		return nil, fmt.Errorf("%w: %s is not open", ErrScope, scope)
	}
	delete(s.open, scope)
	return p, nil
}

// of are the players of an exchange: the one to ask, and the one to ask then,
// nil if there is none. why says why there is none at all.
func (s *Scopes) of(o exchange.Origin, h *exchange.Head) (first, then *Player, why string) {
	name, known := s.Of(o, h)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.open[name]
	if !known {
		if len(s.open) > 1 {
			return nil, nil, fmt.Sprintf("whose it is cannot be told, and %d scopes are open", len(s.open))
		}
		for _, p = range s.open {
		}
	}
	switch {
	case p == nil && s.Shared == nil:
		return nil, nil, "it belongs to no open scope"
	case p == nil:
		return s.Shared, nil, ""
	}
	return p, s.Shared, ""
}

// Offer is what o showed by any of the cassettes: in the handshake it is not
// known yet whose the exchanges will be.
func (s *Scopes) Offer(o exchange.Origin) exchange.Offer {
	s.mu.Lock()
	var players []*Player
	for _, name := range slices.Sorted(maps.Keys(s.open)) {
		players = append(players, s.open[name])
	}
	s.mu.Unlock()
	if s.Shared != nil {
		players = append(players, s.Shared)
	}
	var all exchange.Offer
	for _, p := range players {
		one := p.Offer(o)
		switch {
		case !all.Recorded:
			all.Raw = one.Raw
		case one.Recorded && one.Raw != all.Raw:
			all.Raw = exchange.Some
		}
		all.Opens = all.Opens || one.Opens
		all.Recorded, all.ConnectProtocol = all.Recorded || one.Recorded, all.ConnectProtocol || one.ConnectProtocol
		all.ALPN, all.Names = slices.Concat(all.ALPN, one.ALPN), slices.Concat(all.Names, one.Names)
	}
	all.ALPN, all.Names = distinct(all.ALPN), distinct(all.Names)
	if i := slices.Index(all.ALPN, "h2"); i > 0 {
		all.ALPN = slices.Insert(slices.Delete(all.ALPN, i, i+1), 0, "h2")
	}
	return all
}

// distinct is ss without what was there before, in its order.
func distinct(ss []string) []string {
	var out []string
	for _, s := range ss {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Open starts to answer one connection.
func (s *Scopes) Open(o exchange.Origin) (exchange.Play, error) {
	return &play{of: s.of, o: o, streams: map[uint64]*live{}}, nil
}

// Fail is how the connection to o failed, if the cassette of whom it belongs to,
// or else the shared one, has it that it did.
func (s *Scopes) Fail(o exchange.Origin) (exchange.End, bool) {
	first, then, _ := s.of(o, nil)
	for _, p := range []*Player{first, then} {
		if p == nil {
			continue
		}
		if end, ok := p.Fail(o); ok {
			return end, true
		}
	}
	return exchange.End{}, false
}
