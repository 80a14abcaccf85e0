package redirect

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A habit is something that a command gets from whoever starts it, or gives
// back. before is a bash script that ends in "$@": it sets the habit up and
// runs command, also a script of bash's.
type habit struct{ name, before, command string }

// habits are what is to be as without us. Each prints what it finds.
func habits() []habit {
	status := func(field string) string { return "grep -E '^" + field + "' /proc/self/status" }
	all := []habit{
		{"soft limits", `ulimit -Sn 123 -Sc 0 -Ss 4096 -St 1000; "$@"`, `ulimit -S -a`},
		{"hard limits", `ulimit -n 321 -c 0 -s 4096 -u 30000; "$@"`, `ulimit -H -a; ulimit -S -a`},
		{"umask", `umask 027; "$@"`, `umask; touch f; stat -c '%a %u %g' f`},
		{"nice", `nice -n 7 "$@"`, `nice`},
		{"one CPU", `taskset 1 "$@"`, status("Cpus_allowed_list")},
		{"environment", `export A= B="x y" C=$'\n=' D=1; "$@"`, `env -0 | sort -z | tr '\0' '\n' | grep -v -e ^_= -e ^` + laneVariable},
		{"working directory", `mkdir d; cd d; "$@"`, `pwd -P; ls ..`},
		{"deleted working directory", `mkdir d; cd d; rmdir ../d; "$@"`, `readlink /proc/self/cwd; cat x`},
		{"arguments", `"$@" a "b  c" "" $'\n' '*'`, `printf '<%s>' "$@"`},
		{"piped input", `printf 'a\nb\n' | "$@"`, `cat; echo end`},
		{"no input", `"$@" </dev/null`, `cat; readlink /proc/self/fd/0`},
		{"input from the middle of a file", `seq 9 >f; { read; read; "$@"; read; echo "rest $REPLY"; } <f`, `read; echo "$REPLY"`},
		{"both outputs", `"$@" 2>f; echo; cat f`, `echo out; echo err >&2`},
		{"appended output", `echo 1 >f; "$@" >>f; cat f`, `echo 2; : >&1; echo 3`},
		{"output that nobody reads", `set -o pipefail; "$@" | head -n1`, `yes`},
		{"output that ends before the command", `{ "$@" | cat >f; } ; cat f`, `echo said; exec >&- 2>&-; sleep 0.1`},
		{"a further file", `"$@" 3>f; cat f`, `echo hi >&3`},
		{"further files with gaps", `echo in >g; "$@" 5<g 7>f 200>>f 9<&-; cat f`, `cat <&5 >&7; echo more >&200; ls -C /proc/self/fd >&2; test -e /proc/self/fd/4`},
		{"files where ours are", `echo in >g; "$@" 3<g 4<g 5<g 6<g; echo`, `for i in 3 4 5 6; do cat <&$i; done`},
		{"a file above those we hold", `ulimit -n 4096; "$@" 1000>f 1001>>f; cat f`, `echo a >&1000; echo b >&1001`},
		{"a pipe that ends when it is closed", `{ "$@" 3>&1 >/dev/null | { cat >f; echo ended >>f; }; }; cat f`, `echo x >&3`},
		{"close-on-exec keeps", `"$@" 3>f; cat f`, `exec 4>&3 3>&-; echo x >&4`},
		{"process group and session", `export G=$(ps -o pgid=,sid=,tty= -p $$); "$@"`, `[ "$(ps -o pgid=,sid=,tty= -p $$)" = "$G" ] && echo same`},
		{"ignored signals", `trap '' HUP INT TSTP TTOU; "$@"`, status("Sig(Ign|Blk)")},
		{"default signals", `"$@"`, status("Sig(Ign|Blk|Cgt)") + "; trap"},
		{"nohup", `nohup "$@" >f 2>/dev/null; cat f`, status("SigIgn") + `; readlink /proc/self/fd/0`},
		{"background", `"$@" & wait $!; echo $?`, "kill -INT $$; cat; readlink /proc/self/fd/0; exit 3"},
		{"a pipe's end", `"$@"`, `yes | head -n1; echo ${PIPESTATUS[*]}`},
		{"processes of others", `sleep 1000 & P=$! "$@"; wait; echo $?`, `ps -o comm= -p $P; kill $P; [ -r /proc/$PPID/stat ] && echo parent`},
		{"users and groups", `setpriv --groups 0,7,70000 --regid 5 "$@"`, `id; touch f; stat -c '%u %g' f; install -m 640 -g 7 /dev/null g && cat g`},
		{"a group's file", `install -d -m 777 d; echo secret >d/f; chown 1:7 d/f; chmod 640 d/f; setpriv --groups 7 "$@"`, `setpriv --reuid 1234 cat d/f`},
		{"another user", `"$@"`, `su nobody -s /bin/sh -c 'id -u; id -G'`},
		{"jobserver", `printf '%q ' "$@" >run; printf 'all:\n\t+@bash run\n' >m; make --no-print-directory -j4 -f m`,
			`printf 'all: 1 2 3 4\n1 2 3 4:\n\t@touch $@; until test -e 1 && test -e 2 && test -e 3 && test -e 4; do sleep 0.01; done; echo met\n' >n
			timeout 20 make --no-print-directory -f n`},
		{"not found", `"$@"; echo $?`, `exec no-such-command`},
		{"itself", `"$@"; echo $?`, `echo $0; exec -a other bash -c 'echo $0'`},
	}
	for _, code := range []int{0, 1, 2, 96, 125, 126, 127, 128, 255} {
		all = append(all, habit{fmt.Sprintf("exit code %d", code), `"$@"`, fmt.Sprintf("exit %d", code)})
	}
	signals := "HUP INT QUIT KILL SEGV PIPE TERM RTMAX"
	if os.Getenv("SERGE_TEST_ALL") != "" {
		signals = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT XCPU XFSZ VTALRM PROF IO PWR SYS RTMIN RTMAX"
		all = append(all, habit{"every exit code", `for i in {0..255}; do "$@" $i || echo $?; done`, "exit $1"})
	}
	for signal := range strings.FieldsSeq(signals) {
		all = append(all, habit{"killed by " + signal, `exec 2>/dev/null; ulimit -c 0; "$@"; echo $?`, "kill -" + signal + " $$"})
	}
	return all
}

// TestHabits compares what a command gets and gives with us and without.
func TestHabits(t *testing.T) {
	requireRoot(t)
	without := make(map[string]string)
	for _, h := range habits() {
		without[h.name] = h.try(t)
	}
	us := []string{self(t, "")[0], "parent"}
	compare := func(t *testing.T, each int) {
		for i, h := range habits() {
			if i%each != 0 {
				continue
			}
			if got := h.try(t, us...); got != without[h.name] {
				t.Errorf("%s: before %s\nthe command %s\nsays %s\nwithout us %s", h.name, h.before, h.command, got, without[h.name])
			}
		}
	}
	eachLane(t, func(t *testing.T) { compare(t, 1) })
	t.Run(IPTables.String(), func(t *testing.T) {
		isolateRouted(t)
		each := 8 // its rules take half a second; its command starts as in the ebpf lane
		if os.Getenv("SERGE_TEST_ALL") != "" {
			each = 1
		}
		compare(t, each)
	})
}

// try returns what the habit says, and how it ends, if us starts its command.
func (h habit) try(t *testing.T, us ...string) string {
	t.Helper()
	var out bytes.Buffer
	argv := append([]string{"-c", h.before, "bash"}, us...)
	cmd := exec.Command("bash", append(argv, "bash", "-c", h.command, "it")...)
	cmd.Dir = t.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, &out, &out
	cmd.Run()
	return strings.ReplaceAll(fmt.Sprintf("%s%v", out.String(), cmd.ProcessState), cmd.Dir, "DIR")
}
