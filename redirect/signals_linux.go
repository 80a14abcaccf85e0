package redirect

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// groupWindow is how long after the parent init may notice a signal that was
	// sent to their group. The kernel sends it in one loop; the rest is
	// scheduling. A signal to the parent alone is passed on so much later.
	groupWindow = 50 * time.Millisecond
	// tellingWindow is how long after init the parent may notice it, and tell:
	// that costs nobody time, and a busy machine can need more than 50 ms.
	tellingWindow = time.Second
)

// passed are the signals that end or inform a program, of those that can be
// caught and that were not ignored when we started: nohup and "&" in a script
// have them ignored, and the command is to inherit that.
func passed() []os.Signal {
	var all []os.Signal
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// catch has the passed signals sent to the channel it returns instead of
// ending this process, until stop is called.
func catch() (signals <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 16)
	all := passed()
	if len(all) > 0 { // Notify without signals means every one
		signal.Notify(c, all...)
	}
	return c, func() { signal.Stop(c) }
}
