package cassette

import (
	"slices"
	"strings"

	"github.com/serge-net/serge-net/exchange"
)

// hide takes the secrets out of d, the difference of u and w, one of which may not
// be there. p.mu is held.
func (p *Player) hide(d *exchange.Diff, u, w atom) {
	_, field, _ := strings.Cut(d.At, " ")
	marked, named := strings.Contains(u.val, secretOpen), secretName(d.At) || secretClass(field) != ""
	if marked {
		d.Recorded = strings.Trim(u.val, "{}")
	} else if named && u.at != "" {
		d.Recorded = "(secret)"
	}
	if d.Live = p.hidden(d.Live); (marked || named) && w.at != "" {
		d.Live = "(another secret)"
	}
}

// secretName says whether a name is one that secrets go by. It decides only what a
// person is shown, never what is equal. Tokens that turn pages are no secrets.
func secretName(name string) bool {
	name = strings.ToLower(name)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
	return has("token", "secret", "passw", "api_key", "apikey", "api-key", "credential", "private_key") &&
		!has("page", "next", "continu", "cursor", "sync")
}

// hidden is s without the secrets that are known in this run, and without what
// looks like one. p.mu is held.
func (p *Player) hidden(s string) string {
	const least = 6 // bytes: what is shorter may be a word
	for value, mark := range p.toMark {
		if len(value) >= least && strings.Contains(s, value) {
			s = strings.ReplaceAll(s, value, strings.Trim(mark, "{}"))
		}
	}
	if p.cover == nil {
		return s
	}
	return p.cover.text(s)
}

// hiddenURL is a live URL without its secrets: those that are known, and what
// stands where the recordings of its route have some. p.mu is held.
func (p *Player) hiddenURL(url string) string {
	f, err := p.rules.formOf(&Request{Method: "GET", URL: url})
	_, _, path, query := cutURL(url)
	if err != nil {
		return url
	}
	segments := strings.Split(path, "/")
	t := p.rules.templateOf(segments[1:])
	for i := range segments[1:] {
		if t.veils(i) {
			segments[i+1] = "(secret)"
		}
	}
	rest := ""
	if query != "" {
		pairs := strings.Split(query, "&")
		for i, q := range pairs {
			name, _, _ := strings.Cut(q, "=")
			if p.rules.veiledQuery(f.bucket, normal(name, true)) || secretName(name) {
				pairs[i] = name + "=(secret)"
			}
		}
		rest = "?" + strings.Join(pairs, "&")
	}
	at := strings.Index(url, "://") + len("://")
	return p.hidden(url[:at] + hostOf(url) + strings.Join(segments, "/") + rest)
}

// veiledQuery says whether recordings of a route, whatever its method, have
// secrets in a query parameter.
func (u *rules) veiledQuery(bucket, name string) bool {
	_, route, _ := strings.Cut(bucket, " ")
	for b, places := range u.masks {
		_, r, _ := strings.Cut(b, " ")
		if _, learned := u.learnedOf(b, "query/"+name); r == route && places["query/"+name] && !learned {
			return true
		}
	}
	return false
}
