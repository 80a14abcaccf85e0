package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/serge-net/serge-net/redirect"
	"github.com/serge-net/serge-net/redirect/testnet"
)

// built is what the end-to-end tests run, built once: the program, and the
// clients that are not there as they are.
var built struct {
	once                                   sync.Once
	dir, serge, goget, rawget, h3get, java string
	err                                    error
}

// build builds it all. TestMain removes it.
func build() error {
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "serge-net-e2e-*"); built.err != nil {
			return
		}
		os.Chmod(built.dir, 0o755)
		built.serge = filepath.Join(built.dir, "serge-net")
		built.goget = filepath.Join(built.dir, "goget")
		built.rawget = filepath.Join(built.dir, "rawget")
		built.h3get = filepath.Join(built.dir, "h3get")
		built.java = built.dir
		for _, argv := range [][]string{
			{"go", "build", "-o", built.serge, "."},
			{"go", "build", "-o", built.goget, "./testdata/clients/goget"},
			{"go", "build", "-o", built.rawget, "./testdata/clients/rawget"},
			{"go", "build", "-o", built.h3get, "./testdata/clients/h3get"},
			{"javac", "-d", built.java, "testdata/clients/HttpClientGet.java", "testdata/clients/Lookup.java", "testdata/clients/GradleDaemon.java", "testdata/clients/StreamLines.java", "testdata/clients/SocketTalk.java"},
		} {
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				built.err = fmt.Errorf("%v: %w\n%s", argv, err, out)
				return
			}
		}
	})
	return built.err
}

// heed has signals that this process ignores, as under nohup(1), not be ignored by
// what it starts.
func heed() {
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == initArg {
		os.Exit(redirect.Init())
	}
	if len(os.Args) > 1 && os.Args[1] == steppedArg {
		os.Exit(stepped(os.Args[2:]))
	}
	heed()
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// A rig is a small internet and a directory to run serge-net in.
type rig struct {
	t       *testing.T
	net     *testnet.Net
	dir     string
	backend string   // "" is serge-net's own choice
	enter   []string // what serge-net is started by
	chance  bool     // a replay may end early, and then has to say so
}

func newRig(t *testing.T) *rig {
	t.Helper()
	n := testnet.New(t)
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, net: n, dir: t.TempDir()}
}

// in is r for another test, in a directory of its own, with a lane by name.
func (r *rig) in(t *testing.T, backend string) *rig {
	return &rig{t: t, net: r.net, dir: t.TempDir(), backend: backend}
}

// inAs is in as an ordinary user: no capability, no group, no cgroup.
func (r *rig) inAs(t *testing.T, backend string, uid int) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "serge-net-user-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chown(dir, uid, uid); err != nil {
		t.Fatal(err)
	}
	id := strconv.Itoa(uid)
	enter := []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--inh-caps", "-all", "--bounding-set", "-all"}
	return &rig{t: t, net: r.net, dir: dir, backend: backend, enter: enter}
}

// An outcome is how a command ended and what it wrote.
type outcome struct {
	stdout, stderr string
	code           int
}

// run runs argv in the client's namespace, for at most a minute.
func (r *rig) run(argv ...string) outcome { return r.runWith(nil, "", argv...) }

// runWith is run with more environment and a standard input.
func (r *rig) runWith(env []string, stdin string, argv ...string) outcome {
	r.t.Helper()
	return r.reading(strings.NewReader(stdin), env, argv...)
}

// reading is runWith with a standard input that is read as it comes.
func (r *rig) reading(stdin io.Reader, env []string, argv ...string) outcome {
	r.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := r.net.Command(argv[0], argv[1:]...)
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Env, "CI=", "NO_COLOR=1")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdin = stdin
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if cmd.Process != nil {
			cmd.Process.Kill()
		}
	})
	defer stop()
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		r.t.Fatalf("%v: %v", argv, err)
	}
	return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// serge runs serge-net with the internet's CA trusted upstream.
func (r *rig) serge(args ...string) outcome {
	r.t.Helper()
	env := []string{"SERGE_UPSTREAM_CA=" + r.net.CAFile, "HOME=" + r.dir}
	if r.backend != "" {
		env = append(env, "SERGE_BACKEND="+r.backend)
	}
	return r.runWith(env, "", append(append(slices.Clone(r.enter), built.serge), args...)...)
}

// record records argv to the cassette name, and fails unless all is well.
func (r *rig) record(name string, argv ...string) outcome {
	r.t.Helper()
	return r.well(append([]string{"record", name, "--"}, argv...)...)
}

// replay replays the cassette name to argv, and fails unless all is well.
func (r *rig) replay(name string, argv ...string) outcome {
	r.t.Helper()
	return r.well(append([]string{"replay", name, "--"}, argv...)...)
}

// well is serge, and fails unless the exit code is 0.
func (r *rig) well(args ...string) outcome {
	r.t.Helper()
	o := r.serge(args...)
	if o.code != 0 {
		r.t.Fatalf("serge-net %s: exit code %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), o.code, o.stdout, o.stderr)
	}
	return o
}

// holds holds argv to print the same direct, where env has it trust the origin,
// recorded, and replayed without a network. It returns that.
func (r *rig) holds(env []string, argv ...string) string {
	t := r.t
	t.Helper()
	direct := r.runWith(env, "", argv...)
	if direct.code != 0 || direct.stdout == "" {
		t.Fatalf("direct: exit code %d\n%s\n%s", direct.code, direct.stdout, direct.stderr)
	}
	recorded := r.record("c", argv...)
	if d := cmp.Diff(direct.stdout, recorded.stdout); d != "" {
		t.Errorf("recorded prints other than direct (-direct +recorded):\n%s", d)
	}
	r.net.Gone()
	defer r.net.Back()
	replayed := r.replay("c", argv...)
	told := r.chance && strings.Contains(replayed.stderr, "ended early: MESSAGE ")
	if d := cmp.Diff(direct.stdout, replayed.stdout); d != "" && !told {
		t.Errorf("replayed prints other than direct (-direct +replayed):\n%s\n%s", d, replayed.stderr)
	}
	return direct.stdout
}
