package redirect

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// detachRole detaches every link that it finds among its descriptors, and in the
// queues of sockets among them, and then dials.
func detachRole([]string) int {
	detached := 0
	all, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range all {
		fd, _ := strconv.Atoi(filepath.Base(path))
		oob := make([]byte, unix.CmsgSpace(4*64))
		_, n, _, _, err := unix.Recvmsg(fd, make([]byte, 1), oob, unix.MSG_DONTWAIT)
		links := []int{fd}
		if err == nil && n > 0 {
			more, _ := rights(oob[:n])
			links = append(links, more...)
		}
		for _, l := range links {
			// BPF_LINK_DETACH of linux/bpf.h.
			arg := uint32(l)
			if _, _, e := unix.Syscall(unix.SYS_BPF, 34, uintptr(unsafe.Pointer(&arg)), unsafe.Sizeof(arg)); e == 0 {
				detached++
			}
		}
	}
	fmt.Println("detached", detached)
	c, err := net.DialTimeout("tcp", "203.0.113.1:80", time.Second)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer c.Close()
	b := make([]byte, 100)
	k, _ := c.Read(b)
	os.Stdout.Write(b[:k])
	return 0
}

// TestDetach has a command try to get rid of its hooks by what it inherited. It
// has no capability that matters, but from Linux 5.19 on whoever holds a link may
// detach it.
func TestDetach(t *testing.T) {
	isolate(t)
	d := diverted(t, Target{})
	echo(t, d)
	out, _ := output(t, d, self(t, "detach")...)
	if want := "detached 0\n203.0.113.1:80 redirect.test\n"; out != want {
		t.Errorf("%q; want %q", out, want)
	}
}
