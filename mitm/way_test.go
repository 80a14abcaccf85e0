package mitm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/serge-net/serge-net/exchange"
)

// An authority signs the leaves of a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// leaf is what NewServer wants.
func (a *authority) leaf(name string, names []string) (*tls.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	for _, n := range append([]string{name}, names...) {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}, nil
}

// A told collects what a Way tells.
type told struct {
	mu      sync.Mutex
	trouble []Trouble
	misses  []*exchange.Miss
}

func (l *told) tell() Tell {
	return Tell{
		Trouble: func(t Trouble) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.trouble = append(l.trouble, t)
		},
		Miss: func(m *exchange.Miss) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.misses = append(l.misses, m)
		},
	}
}

// causes lists the causes of trouble so far.
func (l *told) causes() []Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Cause
	for _, t := range l.trouble {
		all = append(all, t.Cause)
	}
	return all
}

// all is what trouble was told so far.
func (l *told) all() []Trouble {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.trouble)
}

// missed is how many misses were told.
func (l *told) missed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.misses)
}

// A watcher keeps the heads and the data that it is told.
type watcher struct {
	mu      sync.Mutex
	heads   []string // "client GET /x", "server 200"
	data    map[exchange.Side]string
	ends    int
	flushed int
	open    int
	fail    error // Event's
}

func newWatcher() *watcher { return &watcher{data: map[exchange.Side]string{}} }

func (w *watcher) Open(exchange.Origin) (exchange.Watch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	return w, nil
}

func (w *watcher) Event(e exchange.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return w.fail
	}
	switch e.Kind {
	case exchange.KindHead:
		w.heads = append(w.heads, headLine(e))
	case exchange.KindData:
		w.data[e.From] += string(e.Data)
	case exchange.KindEnd:
		w.ends++
	}
	return nil
}

func headLine(e exchange.Event) string {
	if e.From == exchange.Client {
		return e.Head.Method + " " + e.Head.Target
	}
	return e.Head.Version + " " + string(rune('0'+e.Head.Status/100)) + "xx"
}

func (w *watcher) Flush() error { w.mu.Lock(); defer w.mu.Unlock(); w.flushed++; return nil }
func (w *watcher) Close() error { w.mu.Lock(); defer w.mu.Unlock(); w.open--; return nil }

// seen is what was watched.
func (w *watcher) seen() (heads []string, request, answer string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.heads), w.data[exchange.Client], w.data[exchange.Server]
}

// front is a listener whose connections go way, as if they had been diverted on
// their way to origin.
func front(t testing.TB, way Way, origin string, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				way.Handle(ctx, c, exchange.Origin{Addr: netip.MustParseAddrPort(origin), Name: name})
			})
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); serving.Wait() })
	return l.Addr().String()
}

// secured is a TLS test server with a leaf of a for name.
func secured(t testing.TB, a *authority, s *httptest.Server, name string) {
	t.Helper()
	cert, err := a.leaf(name, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
	s.StartTLS()
	t.Cleanup(s.Close)
}
