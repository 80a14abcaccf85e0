//go:build !linux

package redirect

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
)

// errLinux says that there is nothing to attach to.
var errLinux = &HintError{
	Err:  fmt.Errorf("%w: attach needs Linux, this is %s", ErrUnsupported, runtime.GOOS),
	Hint: "use serge-net proxy, or attach in a Linux virtual machine",
}

// FindCgroup returns an error but on Linux.
func FindCgroup(string) (string, error) { return "", errLinux }

// FindUnit returns an error but on Linux.
func FindUnit(context.Context, string) (string, error) { return "", errLinux }

// FindContainer returns an error but on Linux.
func FindContainer(context.Context, string) (string, error) { return "", errLinux }

// ReadFile returns an error but on Linux.
func (p Place) ReadFile(string) ([]byte, error) { return nil, errLinux }

// Stat returns an error but on Linux.
func (p Place) Stat(string) (os.FileInfo, error) { return nil, errLinux }

// Place returns an error but on Linux.
func (t Target) Place() (Place, error) { return Place{}, errLinux }

// start has no lane to offer: they are Linux's.
func start(context.Context, Target, Lane) (*Diversion, error) { return nil, notLinux() }

// ListenAgent listens for nobody: agents are Linux's.
func ListenAgent(string) (*net.UnixListener, error) { return nil, notLinux() }

// Serve serves nobody.
func (a *Agent) Serve(context.Context) error { return notLinux() }

// notLinux says where lanes are.
func notLinux() error {
	return &HintError{
		Err:  fmt.Errorf("%w: diversion needs Linux, this is %s", ErrUnsupported, runtime.GOOS),
		Hint: "use serge-net proxy, or run in a Linux virtual machine",
	}
}

// Inspect has nothing to look at: no lane works here.
func Inspect(context.Context, []string) Machine {
	return Machine{Kernel: runtime.GOOS, UID: os.Getuid()}
}

// Init is not called but on Linux.
func Init() int {
	fmt.Fprintln(os.Stderr, "serge-net: error: init needs Linux")
	return 1
}
