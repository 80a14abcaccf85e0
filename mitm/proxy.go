package mitm

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// dialThrough connects to the host:port to through the proxy that p names:
// socks5, or CONNECT over http or https (RFC 9110 section 9.3.6). Plain HTTP
// goes by CONNECT too, so that its bytes stay untouched.
func (u *Upstream) dialThrough(ctx context.Context, p *url.URL, to string) (net.Conn, error) {
	if p.Scheme == "socks5" || p.Scheme == "socks5h" {
		d, err := proxy.FromURL(p, &u.Dialer)
		if err != nil {
			return nil, fmt.Errorf("proxy %s: %w", p.Redacted(), err)
		}
		return d.(proxy.ContextDialer).DialContext(ctx, "tcp", to)
	}
	c, err := u.dialProxy(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("connect to proxy %s: %w", p.Redacted(), err)
	}
	c, err = connect(ctx, c, p, to)
	if err != nil {
		return nil, fmt.Errorf("connect to %s through proxy %s: %w", to, p.Redacted(), err)
	}
	return c, nil
}

// dialProxy connects to the proxy itself.
func (u *Upstream) dialProxy(ctx context.Context, p *url.URL) (net.Conn, error) {
	port := p.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[p.Scheme]
	}
	if port == "" {
		port = "80"
	}
	c, err := u.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(p.Hostname(), port))
	if err != nil || p.Scheme != "https" {
		return c, err
	}
	t := tls.Client(c, &tls.Config{ServerName: p.Hostname(), RootCAs: u.Roots})
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

// connect asks the proxy on c for a tunnel. It owns c and closes it on error.
func connect(ctx context.Context, c net.Conn, p *url.URL, to string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	req := "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n"
	if p.User != nil {
		pass, _ := p.User.Password()
		req += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.User.Username()+":"+pass)) + "\r\n"
	}
	if _, err := c.Write([]byte(req + "\r\n")); err != nil {
		c.Close()
		return nil, err
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		c.Close()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		c.Close()
		return nil, fmt.Errorf("it answered %s", res.Status)
	}
	ahead, _ := r.Peek(r.Buffered())
	return &peeked{Conn: c, ahead: ahead}, nil
}
