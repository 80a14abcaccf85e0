package redirect

import "testing"

func TestResidentCommand(t *testing.T) {
	for _, c := range []struct {
		comm string
		argv []string
		want string
	}{
		{"java", []string{"/usr/bin/java", "-Xmx1g", "-cp", "/x/gradle-launcher-8.5.jar", "org.gradle.launcher.daemon.bootstrap.GradleDaemon", "8.5"}, "Gradle daemon"},
		{"java", []string{"java", "-cp", "x.jar", "org.jetbrains.kotlin.daemon.KotlinCompileDaemon", "--daemon-runFilesPath"}, "Kotlin compile daemon"},
		{"java", []string{"bazel(work)", "-XX:+HeapDumpOnOutOfMemoryError", "-jar", "/x/A-server.jar"}, "Bazel server"},
		{"java", []string{"/opt/java", "-jar", "/home/u/.cache/bazel/install/A-server.jar", "--max_idle_secs=10800"}, "Bazel server"},
		{"java", []string{"java", "-jar", "/usr/share/sbt/bin/sbt-launch.jar", "--server"}, "sbt server"},
		{"java", []string{"java", "org.mvndaemon.mvnd.common.MavenDaemon"}, "Maven daemon"},
		{"dockerd", []string{"/usr/bin/dockerd", "-H", "fd://"}, "Docker daemon"},
		{"adb", []string{"adb", "-L", "tcp:5037", "fork-server", "server"}, "adb server"},
		{"buck2d", []string{"buck2d[app]", "daemon"}, "Buck daemon"},
		{"watchman", []string{"/usr/bin/watchman", "--foreground"}, "watchman"},
		{"vim", []string{"vim", "GradleDaemon.java"}, ""},
		{"java", []string{"java", "-jar", "/srv/shop-server.jar"}, ""},
		{"postgres", []string{"postgres: main"}, ""},
		{"gone", []string{""}, ""},
		{"kthread", nil, ""},
	} {
		r, ok := residentCommand(c.comm, c.argv)
		if r.name != c.want || ok != (c.want != "") || ok && r.hint == "" {
			t.Errorf("residentCommand(%q, %q) = %+v, %v; want %q with a hint", c.comm, c.argv, r, ok, c.want)
		}
	}
}

func TestResidentSocket(t *testing.T) {
	for path, want := range map[string]string{
		"/var/run/docker.sock":                          "Docker daemon",
		"/run/user/1000/docker.sock":                    "Docker daemon",
		"/run/user/1000/podman/podman.sock":             "Podman service",
		"/run/containerd/containerd.sock":               "containerd",
		"/home/u/.sbt/1.0/server/0123456789abcdef/sock": "sbt server",
		"/usr/var/run/watchman/u-state/sock":            "watchman",
		"/run/nscd/socket":                              "nscd",
		"/run/user/1000/bus":                            "",
		"/tmp/.s.PGSQL.5432":                            "",
		"@/tmp/.X11-unix/X0":                            "",
	} {
		if r, ok := residentSocket(path); r.name != want || ok != (want != "") {
			t.Errorf("residentSocket(%q) = %q, %v; want %q", path, r.name, ok, want)
		}
	}
}
