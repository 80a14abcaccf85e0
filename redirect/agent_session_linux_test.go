package redirect

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/bpf"
)

// aRequest is one that has everything.
var aRequest = request{
	Version: agentVersion,
	Ask:     askOpen,
	Target: &agentTarget{
		Probe:     netip.MustParseAddr("127.83.71.1"),
		Except:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Loopback:  []uint16{80, 443},
		Resolvers: []netip.Addr{netip.MustParseAddr("127.0.0.53"), netip.MustParseAddr("fe80::1%eth0")},
		Hermetic:  true,
		Pass:      []bpf.Pass{{}, {Port: 123}, {To: netip.MustParsePrefix("10.0.0.0/8"), Port: 514}},
		Pinned:    []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")},
		Source4:   netip.MustParseAddr("192.0.2.1"),
		Source6:   netip.MustParseAddr("2001:db8::1"),
	},
	Client:   netip.MustParseAddrPort("127.0.0.1:5000"),
	Listener: netip.MustParseAddrPort("127.0.0.1:6000"),
	At:       netip.MustParseAddrPort("127.128.0.1:0"),
}

func TestParseRequest(t *testing.T) {
	b, err := json.Marshal(aRequest)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseRequest(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(aRequest, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for in, want := range map[string]string{
		``:                                       "EOF",
		`{"version":3}`:                          `ask ""`,
		`{"version":3,"ask":"open"}`:             "open without a target",
		`{"version":3,"ask":"open","target":{}}`: "probe",
		`{"version":3,"ask":"open","target":{"probe":"192.0.2.1"}}`:                                                         "probe 192.0.2.1",
		`{"version":3,"ask":"open","target":{"probe":"::1"}}`:                                                               "probe ::1",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","except":[""]}}`:                                           "empty prefix",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","except":["10.0.0.1"]}}`:                                   "no '/'",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","resolvers":[""]}}`:                                        "empty address",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","loopback":[65536]}}`:                                      "65536",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","listener4":80}}`:                                          "unknown field",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","pinned":[""]}}`:                                           "empty prefix",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","source4":"::1"}}`:                                         "sources ::1",
		`{"version":3,"ask":"original"}`:                                                                                    "without addresses",
		`{"version":3,"ask":"queried"}`:                                                                                     "without an address",
		`{"version":3,"ask":"end"}{}`:                                                                                       "more than one value",
		`{"version":1,"ask":"end"}`:                                                                                         "version 1",
		`{"ask":"end"}`:                                                                                                     "version 0",
		`{"version":3,"ask":"open","target":{"probe":"127.0.0.1","loopback":[` + strings.Repeat("1,", maxLoopback) + `1]}}`: "at most",
	} {
		if _, err := parseRequest([]byte(in)); err == nil || !strings.Contains(err.Error(), want) || !errors.Is(err, errRequest) {
			t.Errorf("parseRequest(%.90s): %v; want %q", in, err, want)
		}
	}
}

// FuzzRequest holds that what is accepted is within limits, can be told to the
// programs, and survives a round trip.
func FuzzRequest(f *testing.F) {
	b, _ := json.Marshal(aRequest)
	f.Add(b)
	for _, ask := range []string{askPlace, askEscapes, askTalks, askKill, askEnd, "dance"} {
		b, _ := json.Marshal(request{Version: agentVersion, Ask: ask})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseRequest(b)
		if err != nil {
			return
		}
		if q.Target != nil && q.Ask == askOpen {
			if !q.Target.Probe.Is4() || len(q.Target.Except) > maxExcept {
				t.Errorf("accepted %+v", q.Target)
			}
		}
		again, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRequest(again); err != nil {
			t.Errorf("%q: a second time: %v", again, err)
		}
	})
}

func FuzzRights(f *testing.F) {
	f.Add(unix.UnixRights()) // none: descriptors that exist would be closed
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		fds, _ := rights(b)
		if len(fds) > len(b)/4 {
			t.Errorf("%d descriptors in %d bytes", len(fds), len(b))
		}
	})
}

// A fakeKernel counts what is made and unmade.
type fakeKernel struct {
	t      *testing.T
	faults []byte // one for each call: odd fails
	loaded int    // hooks that are not closed
	made   map[string]bool
	places int
}

// fault is whether the next call fails.
func (k *fakeKernel) fault() error {
	if len(k.faults) == 0 {
		return nil
	}
	odd := k.faults[0]&1 == 1
	k.faults = k.faults[1:]
	if odd {
		return unix.EIO
	}
	return nil
}

func (k *fakeKernel) load(c bpf.Config) (agentHooks, error) {
	if c.Listener4 == 0 || c.Packets4 == 0 || !c.Probe.Is4() {
		k.t.Errorf("load of %+v", c)
	}
	if err := k.fault(); err != nil {
		return nil, err
	}
	k.loaded++
	return &fakeHooks{kernel: k}, nil
}

func (k *fakeKernel) place(p peer, pidfd int, attach func(*os.File) error) (string, error) {
	if p.pid != 7 || p.uid != 8 || pidfd != 9 {
		k.t.Errorf("place of %+v, %d", p, pidfd)
	}
	if err := k.fault(); err != nil {
		return "", err
	}
	if err := attach(nil); err != nil {
		return "", err
	}
	k.places++
	k.made["cgroup"] = true
	return "cgroup", nil
}

func (k *fakeKernel) kill(cgroup string) error {
	if !k.made[cgroup] {
		k.t.Errorf("kill of %q, which is not there", cgroup)
	}
	return k.fault()
}

func (k *fakeKernel) remove(cgroup string) error {
	if !k.made[cgroup] {
		k.t.Errorf("remove of %q, which is not there", cgroup)
	}
	delete(k.made, cgroup)
	return k.fault()
}

// fakeHooks are hooks of a fakeKernel.
type fakeHooks struct {
	kernel *fakeKernel
	closed bool
}

// use fails the test if the hooks are closed.
func (h *fakeHooks) use() error {
	if h.closed {
		h.kernel.t.Error("hooks are used after Close")
	}
	return h.kernel.fault()
}

func (h *fakeHooks) Original(client, listener netip.AddrPort) (bpf.Origin, bool, error) {
	return bpf.Origin{Dst: client}, true, h.use()
}

func (h *fakeHooks) Queried(at netip.AddrPort) (netip.AddrPort, bool, error) {
	return at, true, h.use()
}

func (h *fakeHooks) Escapes() ([]bpf.Escape, error) { return make([]bpf.Escape, 1), h.use() }

func (h *fakeHooks) Talks() ([]bpf.Talk, error) { return make([]bpf.Talk, 1), h.use() }

func (h *fakeHooks) AttachForLife(*os.File) error { return h.use() }

func (h *fakeHooks) FDs() []int { return []int{1, 2, 3, 4} }

func (h *fakeHooks) Close() error {
	h.use()
	h.closed = true
	h.kernel.loaded--
	return nil
}

// FuzzSession asks a session anything in any order, of a kernel that may fail at
// any call: afterwards nothing is left, hooks were loaded once at most, and a
// process was placed once at most.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6}, []byte{})
	f.Add([]byte{0, 1, 6, 6}, []byte{0, 0, 0, 1})
	f.Add([]byte{0, 0}, []byte{})
	f.Add([]byte{1, 0}, []byte{1})
	f.Fuzz(func(t *testing.T, asks, faults []byte) {
		sockets := fuzzSockets(t)
		k := &fakeKernel{t: t, faults: faults, made: make(map[string]bool)}
		s := &session{peer: peer{pid: 7, uid: 8}, kernel: k}
		all := []string{askOpen, askPlace, askOriginal, askQueried, askEscapes, askTalks, askKill, askEnd}
		for _, b := range asks {
			q := aRequest
			q.Ask = all[int(b)%len(all)]
			var fds []int
			switch q.Ask {
			case askOpen:
				fds = sockets
			case askPlace:
				fds = []int{9}
			}
			if b >= 128 { // the wrong ones
				fds = fds[min(len(fds), 1):]
			}
			if _, _, err := s.answer(q, fds); err != nil {
				break
			}
		}
		s.close()
		if k.loaded != 0 || len(k.made) != 0 || k.places > 1 {
			t.Errorf("%d hooks, cgroups %v are left; %d places", k.loaded, k.made, k.places)
		}
	})
}

// fuzzSockets are a TCP and a UDP socket on loopback.
func fuzzSockets(t *testing.T) []int {
	t.Helper()
	var fds []int
	for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}

// TestSession is a client from its first request to its last.
func TestSession(t *testing.T) {
	k := &fakeKernel{t: t, made: make(map[string]bool)}
	s := &session{peer: peer{pid: 7, uid: 8}, kernel: k}
	var got []reply
	if _, maps, err := s.answer(aRequest, fuzzSockets(t)); err != nil || !slices.Equal(maps, []int{1, 2, 3, 4}) {
		t.Fatalf("open: %v, %v", maps, err)
	}
	for _, ask := range []string{askPlace, askOriginal, askQueried, askEscapes, askTalks, askKill, askEnd} {
		q := aRequest
		q.Ask = ask
		var fds []int
		if ask == askPlace {
			fds = []int{9}
		}
		r, _, err := s.answer(q, fds)
		if err != nil {
			t.Fatalf("%s: %v", ask, err)
		}
		got = append(got, r)
	}
	want := []reply{
		{Version: agentVersion, Cgroup: "cgroup"},
		{Version: agentVersion, Found: true, Origin: bpf.Origin{Dst: aRequest.Client}},
		{Version: agentVersion, Found: true, Server: aRequest.At},
		{Version: agentVersion, Escapes: make([]bpf.Escape, 1)},
		{Version: agentVersion, Talks: make([]bpf.Talk, 1)},
		{Version: agentVersion},
		{Version: agentVersion},
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := s.close(); err != nil || k.loaded != 0 || len(k.made) != 0 {
		t.Errorf("close: %v; %d hooks, cgroups %v are left", err, k.loaded, k.made)
	}
}
