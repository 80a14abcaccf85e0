package testnet

import (
	"strings"
	"testing"
)

// TestTenants leaves a process in the small internet, finds it and kills it.
func TestTenants(t *testing.T) {
	n := New(t)
	cmd := n.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // by now it is cat
		t.Fatal(err)
	}
	left, err := n.link.tenants()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range left {
		switch {
		case p.pid == cmd.Process.Pid && p.command == "cat":
			found = true
			p.kill()
		case strings.Contains(p.command, "nginx"):
		default:
			t.Errorf("tenant %+v is not ours", p)
		}
	}
	if !found {
		t.Fatalf("tenants() = %+v; want cat, pid %d", left, cmd.Process.Pid)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("cat ended with %v; want killed", err)
	}
}
