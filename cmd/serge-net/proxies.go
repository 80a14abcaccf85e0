package main

import (
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// proxyVariables are the variables by which programs are told of a proxy, each
// also known in lower case.
var proxyVariables = []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}

// proxySettings are the proxies that the user's environment named: the command
// is not to know of them, the way to the origins goes through them.
type proxySettings struct{ vars map[string]string }

// proxiesOf takes the proxies out of env; p is nil if there are none.
func proxiesOf(env []string) (rest []string, p *proxySettings) {
	vars := map[string]string{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		upper := strings.ToUpper(name)
		if !slices.Contains(proxyVariables, upper) || name != upper && name != strings.ToLower(name) {
			if upper == "NO_PROXY" {
				vars[upper] = value
			}
			rest = append(rest, kv)
			continue
		}
		if value != "" {
			vars[upper] = value
		}
	}
	p = &proxySettings{vars}
	if p.names() == "" {
		return env, nil
	}
	return rest, p
}

// names lists the variables that were taken.
func (p *proxySettings) names() string {
	var names []string
	for _, n := range proxyVariables {
		if p.vars[n] != "" {
			names = append(names, n)
		}
	}
	return strings.Join(names, " and ")
}

// config is p as httpproxy reads it; nil if p is.
func (p *proxySettings) config() *httpproxy.Config {
	if p == nil {
		return nil
	}
	or := func(a, b string) string {
		if a != "" {
			return a
		}
		return b
	}
	return &httpproxy.Config{
		HTTPProxy:  or(p.vars["HTTP_PROXY"], p.vars["ALL_PROXY"]),
		HTTPSProxy: or(p.vars["HTTPS_PROXY"], p.vars["ALL_PROXY"]),
		NoProxy:    p.vars["NO_PROXY"],
	}
}
