package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProxiesOf(t *testing.T) {
	for _, c := range []struct {
		name              string
		env, rest         []string
		names             string
		http, https, none string
	}{
		{name: "none", env: []string{"A=1", "NO_PROXY=x"}, rest: []string{"A=1", "NO_PROXY=x"}},
		{name: "empty", env: []string{"HTTP_PROXY=", "A=1"}, rest: []string{"HTTP_PROXY=", "A=1"}},
		{name: "one", env: []string{"A=1", "HTTPS_PROXY=http://p:1"}, rest: []string{"A=1"}, names: "HTTPS_PROXY", https: "http://p:1"},
		{name: "lower case", env: []string{"http_proxy=http://p:1", "no_proxy=a.example"}, rest: []string{"no_proxy=a.example"},
			names: "HTTP_PROXY", http: "http://p:1", none: "a.example"},
		{name: "odd case", env: []string{"Http_Proxy=http://p:1"}, rest: []string{"Http_Proxy=http://p:1"}},
		{name: "all", env: []string{"ALL_PROXY=socks5://p:1", "http_proxy=http://q:2"}, names: "HTTP_PROXY and ALL_PROXY",
			http: "http://q:2", https: "socks5://p:1"},
	} {
		rest, p := proxiesOf(c.env)
		if d := cmp.Diff(c.rest, rest); d != "" {
			t.Errorf("%s: what the command gets (-want +got):\n%s", c.name, d)
		}
		if c.names == "" {
			if p != nil || p.config() != nil {
				t.Errorf("%s: proxies %s; want none", c.name, p.names())
			}
			continue
		}
		conf := p.config()
		if p.names() != c.names || conf.HTTPProxy != c.http || conf.HTTPSProxy != c.https || conf.NoProxy != c.none {
			t.Errorf("%s: %s %+v; want %+v", c.name, p.names(), conf, c)
		}
	}
}
