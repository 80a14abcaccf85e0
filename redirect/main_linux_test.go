package redirect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// asInit is the argument with which the test binary is init, as serge-net is
// with "init".
const asInit = "serge-test-init"

// roles are what the test binary is besides, when started with the name as its
// first argument: targets, and parents to be killed.
var roles = map[string]func(args []string) int{
	"agent":       agentRole,
	"ask":         askRole,
	"attach":      attachRole,
	"detach":      detachRole,
	"dial":        dialRole,
	"half":        halfRole,
	"hostile":     hostileRole,
	"interrupts":  interruptsRole,
	"linger":      lingerRole,
	"name-server": nameServerRole,
	"packets":     packetsRole,
	"parent":      parentRole,
	"dweller":     dwellerRole,
	"dial-many":   dialManyRole,
	"host":        hostRole,
	"visit":       visitRole,
	"fell":        fellRole,
	"forks":       forksRole,
	"source":      sourceRole,
	"steps":       stepsRole,
	"stepped":     steppedRole,
	"stepping":    steppingRole,
}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if os.Args[1] == asInit {
			os.Exit(Init())
		}
		if role := roles[os.Args[1]]; role != nil {
			os.Exit(role(os.Args[2:]))
		}
	}
	// The race detector sleeps a second at every exit, also of init's.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leaked:", err)
		code = 1
	}
	for name, to := range descriptors() {
		if _, ok := before[name]; !ok && !strings.HasPrefix(to, "anon_inode:[event") {
			fmt.Fprintf(os.Stderr, "leaked descriptor %s: %s\n", name, to)
			code = 1
		}
	}
	if left := leftCgroups(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "leaked cgroups:", left)
		code = 1
	}
	os.Exit(code)
}

// descriptors are what this process has open.
func descriptors() map[string]string {
	all := make(map[string]string)
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.Contains(to, "/proc/") {
			all[e.Name()] = to
		}
	}
	return all
}

// leftCgroups are the cgroups that tests of this process left behind.
func leftCgroups() []string {
	own, err := ownCgroup()
	if err != nil {
		return nil
	}
	left, _ := filepath.Glob(fmt.Sprintf("%s/%s%d-*", own, cgroupPrefix, os.Getpid()))
	return left
}

// requireRoot skips a test as an ordinary user. As root nothing skips.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}
