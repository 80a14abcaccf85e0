package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/redirect"
)

// An attachFlags is what attach was asked to do.
type attachFlags struct {
	runFlags
	pid       int
	cgroup    string
	unit      string
	container string
	caDir     string
	open      bool // --hermetic=false was said
}

func attachCommand() *cobra.Command {
	var f attachFlags
	c := &cobra.Command{
		Use:   "attach --pid N | --cgroup PATH | --unit NAME | --container ID [flags]",
		Short: "record or replay the traffic of something that runs already, until Ctrl-C",
		Long: `attach diverts a process and its descendants, a cgroup, a systemd unit or a
container, by the ebpf lane, until Ctrl-C or its end. Then everything is as it was
before. It says which connections it cannot see: those that were open; of --pid
all whose sockets were made before. What runs trusts the CA that serge-net keeps
(serge-net ca); a container is shown it. It exits as run does, but for a command's
code: with 96 if the recording is incomplete, 97 if requests missed, 98 if
verify or --unused fail found something, 99 if nothing was served.`,
		Example: `  sudo serge-net attach --unit myapp --cassette myapp
  sudo serge-net attach --container 3f2a9c1d7b60 --mode passthrough --verbose
  sudo serge-net attach --pid 4711 --mode record`,
		Args: noArgs,
		RunE: withConfig(func(c *cobra.Command, _ []string) error { return f.run(c) }),
	}
	s := c.Flags()
	s.SortFlags = false
	s.IntVar(&f.pid, "pid", 0, "the process `N` and its descendants, which are moved to a cgroup and back")
	s.StringVar(&f.cgroup, "cgroup", "", "what lives in the cgroup v2 `PATH`: a directory, or one below the root")
	s.StringVar(&f.unit, "unit", "", "the systemd unit `NAME`")
	s.StringVar(&f.container, "container", "", "the container `ID`, of which the first 12 letters do, or a name for docker or podman")
	f.registerMode(c)
	f.register(c)
	registerCADir(c, &f.caDir)
	// A pinned address outlives us in what the target has cached.
	dns := s.Lookup("dns")
	dns.DefValue, f.dns = "real", "real"
	c.RegisterFlagCompletionFunc("pid", cobra.NoFileCompletions)
	c.RegisterFlagCompletionFunc("unit", cobra.NoFileCompletions)
	c.RegisterFlagCompletionFunc("container", cobra.NoFileCompletions)
	c.MarkFlagDirname("cgroup")
	return c
}

// run attaches as c's flags say, until a signal or the target's end, and returns
// an *exit with its code.
func (f *attachFlags) run(c *cobra.Command) error {
	if f.backend != "auto" && f.backend != redirect.EBPF.String() {
		return hint(fmt.Errorf("attach by %s: only the ebpf lane can", f.backend), "leave out --backend; what needs no privileges: serge-net proxy")
	}
	f.open = c.Flags().Changed("hermetic") && !f.hermetic
	target, what, err := f.target(c.Context())
	if err != nil {
		return err
	}
	out, err := f.output(c.ErrOrStderr())
	if err != nil {
		return err
	}
	defer out.Close()
	a := &attachment{runner: newRunner(&f.runFlags, nil, newReport(out, f.quiet)), flags: f, target: target, what: what}
	a.client, a.reach = "target", "the network"
	a.again = func(mode string) string {
		return fmt.Sprintf("serge-net attach %s --mode %s --cassette %s", f.words(), mode, shellWords([]string{f.cassette}))
	}
	return a.accounted(a.run(c.Context()))
}

// words is the flag that names the target.
func (f *attachFlags) words() string {
	for _, w := range []struct{ flag, value string }{
		{"--cgroup", f.cgroup}, {"--unit", f.unit}, {"--container", f.container},
	} {
		if w.value != "" {
			return w.flag + " " + shellWords([]string{w.value})
		}
	}
	return "--pid " + strconv.Itoa(f.pid)
}

// target is whom the flags name, and how that is called to a person.
func (f *attachFlags) target(ctx context.Context) (t redirect.Target, what string, err error) {
	named := 0
	for _, given := range []bool{f.pid != 0, f.cgroup != "", f.unit != "", f.container != ""} {
		if given {
			named++
		}
	}
	if named != 1 {
		return t, "", hint(errors.New("attach to one thing: it is named by --pid, --cgroup, --unit or --container"),
			"serge-net attach --pid N; ps -e, systemctl and docker ps list what there is")
	}
	switch {
	case f.pid < 0:
		return t, "", hint(fmt.Errorf("--pid %d is no process", f.pid), "ps -e lists those that there are")
	case f.pid > 0:
		t.PID, what = f.pid, "process "+strconv.Itoa(f.pid)
	case f.cgroup != "":
		t.Cgroup, err = redirect.FindCgroup(f.cgroup)
		what = "cgroup " + t.Cgroup
	case f.unit != "":
		t.Cgroup, err = redirect.FindUnit(ctx, f.unit)
		what = "unit " + f.unit
	default:
		t.Cgroup, err = redirect.FindContainer(ctx, f.container)
		what = "container " + f.container
	}
	return t, what, err
}

// endings are the signals that end an attach, but for those that were ignored
// when we started, as nohup has it.
func endings() []os.Signal {
	var all []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// drainPatience is how long connections may take to end after the target was let
// go. An idle one, kept for the next request, is cut then: clients expect that of
// servers.
const drainPatience = 2 * time.Second

// run does it all. Its error is an *exit, or that serge-net could not start.
func (a *attachment) run(ctx context.Context) error {
	until, stop := signal.NotifyContext(ctx, endings()...)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.check(); err != nil {
		return err
	}
	var err error
	if a.place, err = a.target.Place(); err != nil {
		return err
	}
	if err := a.openCA(); err != nil {
		return err
	}
	if err := a.open(ctx); err != nil {
		a.abandon()
		return err
	}
	defer a.store.Close()
	way, err := a.prepare(until)
	if err != nil {
		a.abandon()
		return err
	}
	a.announce()
	a.serve.Go(func() { a.accept(ctx, way) })
	a.serve.Go(func() { a.answer(ctx) })
	if a.flags.quic == "record" {
		a.serve.Go(func() { a.quic(ctx, way) })
	}
	a.relay = a.datagrams()
	a.serve.Go(a.relay.serve)
	ended := a.lane.Attached().Wait(until)
	stop() // the next signal ends us at once; the target is let go all the same
	if ended == nil {
		a.report.sayf("%s is gone", a.what)
	}
	beside := a.outside()
	closeErr := a.lane.Close()
	// The target goes on: what it has under way comes to its end.
	late := time.AfterFunc(drainPatience, cancel)
	defer late.Stop()
	a.serve.Wait()
	code := a.ended(false, &beside)
	if until.Err() != nil {
		ended = nil
	}
	if err := errors.Join(ended, closeErr); err != nil {
		return err
	}
	return &exit{Code: code}
}
