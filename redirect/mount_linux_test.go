package redirect

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestArrange(t *testing.T) {
	resolve := func(path string) (string, error) {
		to := map[string]string{"/certs": "/certs", "/link": "/certs", "/var/run/nscd": "/run/nscd"}
		if p, ok := to[path]; ok {
			return p, nil
		}
		return "", fs.ErrNotExist
	}
	data := []byte("x")
	for _, c := range []struct {
		name   string
		mounts []Mount
		covers []cover
		binds  []Mount
		fails  bool
	}{
		{name: "none"},
		{name: "missing directory", mounts: []Mount{{Path: "/gone", Dir: true}, {Path: "/gone/a", Data: data}}},
		{name: "file", mounts: []Mount{{Path: "/certs/a", Data: data}}, binds: []Mount{{Path: "/certs/a", Data: data}}},
		{
			name:   "file before its directory",
			mounts: []Mount{{Path: "/link/a", Data: data}, {Path: "/link", Dir: true}, {Path: "/link/java", Dir: true}, {Path: "/linked", Data: data}},
			covers: []cover{{path: "/certs", given: "/link", files: []Mount{{Path: "/link/a", Data: data}, {Path: "/link/java", Dir: true}}}},
			binds:  []Mount{{Path: "/linked", Data: data}},
		},
		{name: "append to what is covered", mounts: []Mount{{Path: "/certs", Dir: true}, {Path: "/certs/a", Append: true}}, fails: true},
		{name: "link outside", mounts: []Mount{{Path: "/etc/a", Link: "b"}}, fails: true},
	} {
		covers, binds, err := arrange(c.mounts, resolve)
		var got []cover
		for _, p := range covers {
			got = append(got, *p)
		}
		if diff := cmp.Diff(c.covers, got, cmp.AllowUnexported(cover{})); diff != "" || (err != nil) != c.fails {
			t.Errorf("%s: covers (-want +got), %v:\n%s", c.name, err, diff)
		}
		if diff := cmp.Diff(c.binds, binds); diff != "" {
			t.Errorf("%s: binds (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestMounts(t *testing.T) { eachLane(t, testMounts) }

func testMounts(t *testing.T) {
	// A private view of /run, so that the host's stays as it is.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	run(t, `mount --make-rprivate /; mount -t tmpfs none /run
		mkdir -p /run/nscd /run/systemd/resolve; touch /run/nscd/socket /run/systemd/resolve/io.systemd.Resolve`)
	dir := t.TempDir()
	covered, file, longer := filepath.Join(dir, "covered"), filepath.Join(dir, "file"), filepath.Join(dir, "longer")
	own := filepath.Join(dir, "own")
	for _, err := range []error{
		os.Mkdir(covered, 0o755),
		os.Mkdir(own, 0o755),
		os.WriteFile(filepath.Join(covered, "old"), nil, 0o644),
		os.WriteFile(file, []byte("before"), 0o644),
		os.WriteFile(longer, []byte("before"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d := diverted(t, Target{})
	out, _ := outputOf(t, d, Command{Mounts: []Mount{
		{Path: covered, Dir: true},
		{Path: covered + "/bundle", Data: []byte("roots")},
		{Path: covered + "/hash.0", Link: "bundle"},
		{Path: covered + "/java/cacerts", Data: []byte("jks")},
		{Path: covered + "/key", Data: []byte("key"), Private: true},
		{Path: own, Dir: true, Private: true},
		{Path: own + "/db", Data: []byte("db"), Private: true},
		{Path: file, Data: []byte("after")},
		{Path: longer, Append: true, Data: []byte("and after")},
		{Path: filepath.Join(dir, "missing"), Dir: true},
	}, Argv: []string{"sh", "-c", `cd "$0"; ls covered; cat covered/hash.0 covered/java/cacerts file longer; echo
		touch covered/x file 2>/dev/null || echo read-only; ls /run/nscd /run/systemd/resolve; grep -c serge-net /proc/self/mounts
		stat -c %a covered/key own own/db; echo written >> own/db && cat own/db`, dir}})
	want := "bundle\nhash.0\njava\nkey\nrootsjksafterbeforeand after\nread-only\n/run/nscd:\n\n/run/systemd/resolve:\n6\n600\n700\n600\ndbwritten\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("the command sees (-want +got):\n%s", diff)
	}
	if left, err := os.ReadDir(own); err != nil || len(left) > 0 {
		t.Errorf("outside, %s has %v, %v; want nothing", own, left, err)
	}
	if b, _ := os.ReadFile(file); string(b) != "before" {
		t.Errorf("outside, %s is %q; want before", file, b)
	}
}

func TestMountFails(t *testing.T) { eachLane(t, testMountFails) }

func testMountFails(t *testing.T) {
	d := diverted(t, Target{})
	p, err := d.Run(t.Context(), Command{Argv: []string{"true"}, Mounts: []Mount{{Path: "/no/such/file"}}})
	if err == nil || !strings.Contains(err.Error(), "bind over /no/such/file") {
		t.Fatalf("Run with a bind over nothing = %v, %v; want an error that says so", p, err)
	}
}
