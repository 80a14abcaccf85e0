package redirect

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A resident is a kind of daemon that outlives the command that started it and
// works for the next: what it does on the network is not that command's.
type resident struct {
	name string
	// programs are base names of argv[0], or values of comm: one that ends in
	// "*" is a prefix. A Java daemon's is java, so it has classes instead: an
	// argument that is one of them, or, of a jar, ends in it.
	programs, classes []string
	// sockets are the ends of the paths of the unix sockets they listen on.
	sockets []string
	hint    string
}

// residents are the known ones. Class, program and option names are those of
// the projects' own sources.
func residents() []resident {
	return []resident{
		{name: "Gradle daemon", classes: []string{"org.gradle.launcher.daemon.bootstrap.GradleDaemon"},
			hint: "run gradle --no-daemon, or set GRADLE_OPTS=-Dorg.gradle.daemon=false; gradle --stop ends those that run"},
		{name: "Kotlin compile daemon", classes: []string{"org.jetbrains.kotlin.daemon.KotlinCompileDaemon"},
			hint: "set -Dkotlin.compiler.execution.strategy=in-process"},
		{name: "Bazel server", programs: []string{"bazel(*"}, classes: []string{"A-server.jar"},
			hint: "run bazel --batch, or bazel shutdown before"},
		{name: "sbt server", classes: []string{"xsbt.boot.Boot", "sbt-launch.jar"}, sockets: []string{"/server/*/sock"},
			hint: "run sbt -Dsbt.server.autostart=false without --client; sbt --client shutdown ends the one that runs"},
		{name: "Maven daemon", classes: []string{"org.mvndaemon.mvnd.common.MavenDaemon", "org.mvndaemon.mvnd.daemon.MavenDaemon"},
			hint: "run mvnd -Dmvnd.noDaemon=true, or mvn; mvnd --stop ends those that run"},
		{name: "Nailgun server", programs: []string{"ng-server"},
			classes: []string{"com.martiansoftware.nailgun.NGServer", "com.facebook.nailgun.NGServer"},
			hint:    "end it (ng ng-stop), so that one starts within the command, or use none"},
		{name: "Bloop server", classes: []string{"bloop.Bloop", "bloop.BloopServer"}, hint: "run bloop exit before, or scala-cli --server=false"},
		{name: "Buck daemon", programs: []string{"buck2d*"}, classes: []string{"com.facebook.buck.cli.Main", "com.facebook.buck.cli.bootstrapper.ClassLoaderBootstrapper"},
			sockets: []string{"/.buckd/sock"}, hint: "set NO_BUCKD=1; for Buck2 run buck2 killall before"},
		{name: "Pants daemon", programs: []string{"pantsd*"}, hint: "run pants --no-pantsd"},
		{name: "sccache server", programs: []string{"sccache"}, hint: "run sccache --stop-server before, so that one starts within the command"},
		{name: "adb server", programs: []string{"adb"}, hint: "run adb kill-server before, so that one starts within the command"},
		{name: "watchman", programs: []string{"watchman"}, sockets: []string{"/watchman/*-state/sock"},
			hint: "run watchman shutdown-server before, so that one starts within the command"},
		{name: "Docker daemon", programs: []string{"dockerd"}, sockets: []string{"/docker.sock"}, hint: containerHint},
		{name: "Podman service", programs: []string{"podman"}, sockets: []string{"/podman/podman.sock"}, hint: containerHint},
		{name: "containerd", programs: []string{"containerd", "containerd-shim*"}, sockets: []string{"/containerd.sock"}, hint: containerHint},
		{name: "BuildKit", programs: []string{"buildkitd"}, sockets: []string{"/buildkitd.sock"}, hint: containerHint},
		{name: "systemd", sockets: []string{"/systemd/private"}, hint: "what it starts for the command is outside of it: start that within, without systemd-run"},
		{name: "nscd", programs: []string{"nscd"}, sockets: []string{"/nscd/socket"}, hint: resolverHint},
		{name: "systemd-resolved", programs: []string{"systemd-resolve*"}, sockets: []string{"/systemd/resolve/io.systemd.Resolve"}, hint: resolverHint},
	}
}

const (
	// containerHint is what to do about those who start containers.
	containerHint = "containers are outside of the command: run serge-net within them, or attach to them; reach fixed services by --bypass"
	// resolverHint is what to do about those who resolve names.
	resolverHint = "it resolves names beside us: stop it for the run, or start where a private mount namespace can be had, which hides it"
)

// residentProcess returns what kind of daemon the process pid is.
func residentProcess(pid int) (resident, bool) {
	argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return resident{}, false
	}
	return residentCommand(commandName(pid), strings.Split(string(bytes.TrimSuffix(argv, []byte{0})), "\x00"))
}

// residentCommand is residentProcess by the process's comm and arguments.
func residentCommand(comm string, argv []string) (resident, bool) {
	for _, r := range residents() {
		if r.runs(comm) || len(argv) > 0 && r.runs(filepath.Base(argv[0])) || slices.ContainsFunc(argv, r.loads) {
			return r, true
		}
	}
	return resident{}, false
}

// residentSocket returns what kind of daemon listens on the unix socket at path.
func residentSocket(path string) (resident, bool) {
	for _, r := range residents() {
		for _, s := range r.sockets {
			before, after, wild := strings.Cut(s, "*")
			if !wild {
				before, after = "", s
			}
			if rest, ok := strings.CutSuffix(path, after); ok && strings.Contains(rest, before) {
				return r, true
			}
		}
	}
	return resident{}, false
}

// runs says whether name is one of r's programs.
func (r resident) runs(name string) bool {
	return slices.ContainsFunc(r.programs, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return name == p || wild && strings.HasPrefix(name, prefix)
	})
}

// loads says whether arg is one of r's classes, or the path of one of its jars.
func (r resident) loads(arg string) bool {
	return slices.Contains(r.classes, arg) || strings.HasSuffix(arg, ".jar") && slices.Contains(r.classes, filepath.Base(arg))
}
