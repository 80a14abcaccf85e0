package cassette

import (
	"encoding/hex"
	"net"
	"strconv"
	"strings"
	"unicode/utf8"
)

// number gives every interaction its place behind so many others and, where it
// has none, a label: one that none of the others has, whose numbers are lower.
func number(is []*Interaction, before int) {
	taken := map[string]bool{}
	for n, i := range is {
		i.Seq = before + n + 1
		if taken[i.ID] {
			i.ID = ""
		}
		taken[i.ID] = true
	}
	last := map[string]int{} // number given, by stem
	for _, i := range is {
		if i.ID != "" {
			continue
		}
		stem := i.stem()
		for last[stem] = max(last[stem], before) + 1; taken[stem+strconv.Itoa(last[stem])]; {
			last[stem]++
		}
		i.ID = stem + strconv.Itoa(last[stem])
		taken[i.ID] = true
	}
}

// stem is i's label without its number: method, last path segment, hash.
func (i *Interaction) stem() string {
	segment := i.key.route[strings.LastIndexByte(i.key.route, '/')+1:]
	segment = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unreserved(byte(r)) && r != '.' && r != '~') {
			return r
		}
		return -1
	}, segment)
	parts := []string{strings.ToLower(i.Request.Method)}
	if i.Converses() {
		_, port, _ := net.SplitHostPort(i.remote())
		parts, segment = []string{"tcp"}, port
	}
	if segment != "" {
		parts = append(parts, segment[:min(len(segment), 24)])
	}
	return strings.Join(append(parts, hex.EncodeToString(i.key.sum[:2])), "-") + "."
}
