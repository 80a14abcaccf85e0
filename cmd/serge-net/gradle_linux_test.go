package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect"
)

// realGradle runs the tests of a project whose daemon runs already. Where it can
// be reached the tests run in it, beside us, and the report says so; as it says,
// --no-daemon is recorded.
func realGradle(t *testing.T) {
	r := newRig(t)
	home := "GRADLE_USER_HOME=" + filepath.Join(r.dir, "home")
	dir := filepath.Join(r.dir, "src/test/java")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(r.dir, "build.gradle"), `apply plugin: 'java'
dependencies { testCompile files('/usr/share/java/junit4.jar', '/usr/share/java/hamcrest-core.jar') }
test.outputs.upToDateWhen { false }
`)
	write(t, filepath.Join(dir, "FetchTest.java"), `public class FetchTest {
    @org.junit.Test
    public void fetch() throws Exception {
        new java.net.URL("`+hello+`").openStream().close();
    }
}
`)
	gradle := func(args ...string) outcome {
		o := r.runWith([]string{home, "SERGE_UPSTREAM_CA=" + r.net.CAFile}, "", args...)
		if o.code != 0 {
			t.Errorf("%v: exit code %d\n%s%s", args, o.code, o.stdout, o.stderr)
		}
		return o
	}
	gradle("gradle", "--offline", "--daemon", "-q", "help")
	defer gone(t, filepath.Join(r.dir, "home"))()
	defer gradle("gradle", "--offline", "--stop")
	// In the netns lane last: Gradle forgets a daemon that it cannot reach.
	for _, l := range []redirect.Lane{redirect.EBPF, redirect.IPTables, redirect.Netns} {
		run := []string{built.serge, "record", l.String(), "--backend", l.String(), "--", "gradle", "--offline", "-q", "test"}
		var o outcome
		hits := r.hitsIn(func() { o = gradle(append(run, "--daemon")...) })
		intercepted := strings.Contains(o.stderr, "recorded 1 interaction")
		reported := strings.Contains(o.stderr, "is a Gradle daemon that does not belong to the command") &&
			strings.Contains(o.stderr, "\n  run gradle --no-daemon")
		if intercepted == reported || reported == (l == redirect.Netns) || len(hits) == 0 {
			t.Errorf("by %s: recorded %v, reported %v, hits %v:\n%s", l, intercepted, reported, hits, o.stderr)
		}
		o = gradle(append(run, "--no-daemon")...)
		if !strings.Contains(o.stderr, "recorded 1 interaction") || strings.Contains(o.stderr, "escaped") {
			t.Errorf("by %s with --no-daemon:\n%s", l, o.stderr)
		}
	}
}

// gone returns a function that waits until the daemon whose home is given has
// ended: --stop does not. The daemon's log is named for its pid.
func gone(t *testing.T, home string) func() {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(home, "daemon/*/daemon-*.out.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("the daemons' logs are %v, %v; want one", logs, err)
	}
	var pid int
	if _, err := fmt.Sscanf(filepath.Base(logs[0]), "daemon-%d.out.log", &pid); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		defer unix.Close(fd)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 20_000); n != 1 {
			t.Errorf("the daemon %d did not end: %v", pid, err)
		}
	}
}
