package main

import (
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// pingable lets everybody in the small internet make ping sockets: icmp(7).
func (r *rig) pingable() {
	r.t.Helper()
	if o := r.run("sh", "-c", "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range"); o.code != 0 {
		r.t.Fatal(o.stderr)
	}
}

// hostile is the command that tries to get out to www, by the attempts whose
// names begin with which.
func (r *rig) hostile(which string) []string {
	www := testnet.Lookup(testnet.WWW)
	return []string{r.client("hostile"), www.V4.String(), www.V6.String(), which}
}

// TestHermetic has a command that tries to get out of a replay by every socket
// that there is, in each lane: not one packet leaves, and what it tried is said.
func TestHermetic(t *testing.T) {
	r := newRig(t)
	r.pingable()
	r.record("c", "curl", "-sS", "http://"+testnet.WWW+"/hello")
	// Without us the attempts are what they seem: or this test would show nothing.
	capture := r.net.Capture()
	if o := r.run(r.hostile("")...); strings.Count(o.stdout, ": sent\n") < 25 || len(capture.Packets()) < 40 {
		t.Fatalf("alone it sends %d packets:\n%s", len(capture.Packets()), o.stdout)
	}
	for _, l := range redirect.Lanes() {
		t.Run(l.String(), func(t *testing.T) {
			hits, capture := r.net.HitCount(), r.net.Capture()
			o := r.serge(append([]string{"replay", "c", "--backend", l.String(), "--"}, r.hostile("")...)...)
			if p := capture.Packets(); len(p) != 0 {
				t.Errorf("%d packets left, the first %v", len(p), p[0])
			}
			if n := r.net.HitCount() - hits; n != 0 {
				t.Errorf("the origin was reached %d times", n)
			}
			if tried := strings.Count(o.stdout, " to "); tried < 50 {
				t.Errorf("%d attempts were made; want all:\n%s", tried, o.stdout)
			}
			for _, want := range append(refusals(l), "miss: CONNECT tcp://203.0.113.10:7\n", "miss: CONNECT tcp://[2001:db8:113::10]:7\n", "isolated: no") {
				if !strings.Contains(o.stderr, want) {
					t.Errorf("the report has no %q:\n%s", want, o.stderr)
				}
			}
			if o.code != exitMissed {
				t.Errorf("exit code %d; want %d", o.code, exitMissed)
			}
			// A lane may send the attempts nowhere. In the ebpf lane the kernel refuses
			// them, at once, but for a ping over IPv6, of which it does not say so.
			took := strings.Replace(o.stdout, "ping to 2001:db8:113::10: sent\n", "", 1)
			if l == redirect.EBPF && (strings.Contains(took, ": sent\n") || strings.Contains(took, " took ")) {
				t.Errorf("the kernel took some, or took its time:\n%s", o.stdout)
			}
		})
	}
}

// refusals are what the report of TestHermetic says in lane l, besides misses:
// in the netns lane there is nowhere to go, so nothing to refuse.
func refusals(l redirect.Lane) []string {
	if l == redirect.Netns {
		return nil
	}
	return []string{
		"escaped: UDP to 203.0.113.10:7 refused", "escaped: UDP to 203.0.113.10:9 refused", "escaped: UDP to 203.0.113.10:443 (QUIC) refused",
		"escaped: UDP to [2001:db8:113::10]:7 refused", "escaped: UDP to [2001:db8:113::10]:443 (QUIC) refused",
		"escaped: UDPLITE to 203.0.113.10:7 refused", "escaped: UDPLITE to [2001:db8:113::10]:7 refused",
		"escaped: ICMP to 203.0.113.10 refused once", "escaped: ICMPV6 to 2001:db8:113::10 refused once",
		"escaped: UDP to 224.0.0.251:5353 (mDNS) refused", "escaped: UDP to [ff02::fb]:5353 (mDNS) refused",
		"escaped: UDP to 239.1.2.3:7 refused", "escaped: UDP to [ff05::7]:7 refused",
		"escaped: UDP to 192.0.2.255:7 refused", "escaped: UDP to 255.255.255.255:7 refused", "escaped: UDP to [ff02::1]:7 refused",
	}
}

// TestIsolated says yes where nothing missed and nothing could leave, also if
// something was refused, and no where something may leave.
func TestIsolated(t *testing.T) {
	r := newRig(t)
	curl := "curl -sS http://" + testnet.WWW + "/hello; "
	r.record("c", "sh", "-c", curl)
	udp := curl + strings.Join(r.hostile("udp"), " ")
	for _, c := range []struct {
		name  string
		flags []string
		argv  string
		want  string
	}{
		{"a replay", nil, curl, "0 missed, 0 unused, 0 escaped; isolated: yes"},
		{"a replay that was refused something", nil, udp, "0 missed, 0 unused, 4 escaped; isolated: yes"},
		{"a bypass", []string{"--bypass", testnet.H2}, curl, "0 missed, 0 unused, 0 escaped; isolated: no"},
		{"misses that go on", []string{"--on-miss", "passthrough"}, curl, "0 missed, 0 unused, 0 escaped; isolated: no"},
	} {
		argv := append(append([]string{"replay", "c"}, c.flags...), "--", "sh", "-c", c.argv)
		if o := r.well(argv...); !strings.Contains(o.stderr, c.want) {
			t.Errorf("%s: the report has no %q:\n%s", c.name, c.want, o.stderr)
		}
	}
}

// TestQUICIsRefused while recording, at once, and counted; other datagrams pass.
func TestQUICIsRefused(t *testing.T) {
	r := newRig(t)
	h3 := testnet.Lookup(testnet.H3)
	capture := r.net.Capture()
	o := r.record("c", r.client("hostile"), h3.V4.String(), h3.V6.String(), "quic")
	if n := strings.Count(o.stdout, ": operation not permitted\n"); n != 4 || strings.Contains(o.stdout, " took ") {
		t.Errorf("%d attempts were refused at once; want 4:\n%s", n, o.stdout)
	}
	for _, want := range []string{"escaped: UDP to 203.0.113.12:443 (QUIC) refused 2 times by hostile (pid ", "escaped: UDP to [2001:db8:113::12]:443 (QUIC) refused 2 times by hostile (pid "} {
		if !strings.Contains(o.stderr, want) {
			t.Errorf("the report has no %q:\n%s", want, o.stderr)
		}
	}
	for _, p := range capture.Packets() {
		if p.Dst.Port() == 443 {
			t.Errorf("%v left", p)
		}
	}
	hits := r.hitsIn(func() { r.record("d", r.client("hostile"), "203.0.113.18", "2001:db8:113::18", "udp") })
	if hits[testnet.TCP+":7/udp"] != 2 {
		t.Errorf("datagrams that are not QUIC: hits %v; want 2 at %s:7/udp", hits, testnet.TCP)
	}
}

// TestHermeticRecording lets connections through us, and nothing else.
func TestHermeticRecording(t *testing.T) {
	r := newRig(t)
	script := "curl -sS http://" + testnet.WWW + "/hello; " + strings.Join(r.hostile("udp"), " ")
	o := r.well("record", "c", "--hermetic", "--", "sh", "-c", script)
	if !strings.Contains(o.stdout, "hello from") || strings.Contains(o.stdout, ": sent\n") {
		t.Errorf("it prints\n%s", o.stdout)
	}
	if !strings.Contains(o.stderr, "escaped: UDP to 203.0.113.10:7 refused") {
		t.Errorf("the report does not name it:\n%s", o.stderr)
	}
}
