package testnet

import (
	"maps"
	"sync"
)

// tally counts by key. The zero tally is ready; it is safe for concurrent use.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

// add counts one more of key and returns how many there are now.
func (t *tally) add(key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[string]int)
	}
	t.n[key]++
	return t.n[key]
}

// counts returns a copy.
func (t *tally) counts() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		return map[string]int{}
	}
	return maps.Clone(t.n)
}
