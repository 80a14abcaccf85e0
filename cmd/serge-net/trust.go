package main

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/serge-net/serge-net/certs"
)

// trust plans how the command comes to trust this run's CA.
func (r *runner) trust(env []string, mounts bool) (*certs.Plan, error) {
	cfg := certs.PlanConfig{CA: r.ca.PEM(), Env: env, Mounts: mounts, Cache: cacheDir()}
	var err error
	if cfg.Dir, err = trustDir(os.TempDir()); err != nil {
		return nil, err
	}
	if cfg.Certutil, err = exec.LookPath("certutil"); err == nil {
		if cfg.Scratch, err = trustDir(memoryDir()); err != nil {
			return nil, err
		}
	}
	plan, err := certs.NewPlan(cfg)
	if err != nil {
		return nil, err
	}
	for _, n := range plan.Notes {
		r.report.sayf("trust: %s", n)
	}
	return plan, nil
}

// cacheDir is where runs keep what they would find out again: XDG Base
// Directory Specification. Without a home directory there is none.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "serge-net")
}

// memoryDir is a directory for files of a moment: in memory if there is one.
func memoryDir() string {
	const shm = "/dev/shm"
	if fi, err := os.Stat(shm); err == nil && fi.IsDir() {
		return shm
	}
	return os.TempDir()
}

// trustByEnvironment replaces the plan by one that needs no mounts.
func (r *runner) trustByEnvironment() error {
	rest, _ := proxiesOf(os.Environ())
	plan, err := r.trust(rest, false)
	if err != nil {
		return err
	}
	r.plan = plan
	r.report.sayf("no private mount namespace can be had here: trust is by environment only (serge-net doctor says why)")
	return nil
}

// trusted is whom origins are trusted by: those that the flags name, and whom
// the command itself would trust. Nil is the system's.
func (r *runner) trusted() (*x509.CertPool, error) {
	if len(r.plan.Extra) == 0 || r.replays() {
		return r.roots, nil
	}
	roots := r.roots
	if roots == nil {
		var err error
		if roots, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's roots: %w", err)
		}
	}
	roots.AppendCertsFromPEM(r.plan.Extra)
	return roots, nil
}

// trustPrefix begins the names of directories that a plan writes to, where no
// mount can bring its files to the command. The pid namespace, the pid and
// something that nobody can guess follow.
const trustPrefix = "serge-net-trust-"

// trustDir is such a directory in tmp, not made yet. Those of runs that were
// killed together with their init are removed.
func trustDir(tmp string) (string, error) {
	ns := pidNamespace()
	old, err := filepath.Glob(filepath.Join(tmp, trustPrefix+ns+"-*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		if ownerDead(dir, ns) {
			os.RemoveAll(dir) // another user's stays
		}
	}
	return filepath.Join(tmp, fmt.Sprintf("%s%s-%d-%s", trustPrefix, ns, os.Getpid(), rand.Text())), nil
}

// pidNamespace tells pid namespaces apart: a pid means nothing in another.
func pidNamespace() string {
	link, err := os.Readlink("/proc/self/ns/pid") // "pid:[4026531836]", namespaces(7)
	if err != nil {
		return "0"
	}
	return strings.Trim(strings.TrimPrefix(link, "pid:"), "[]")
}

// ownerDead tells whether the process that named dir is no more.
func ownerDead(dir, ns string) bool {
	pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), trustPrefix+ns+"-"), "-")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return false
	}
	p, err := os.FindProcess(n)
	return err == nil && errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
