package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// An attempt is how a runtime is had ask the origin.
type attempt struct {
	name      string   // "Python requests"
	program   string   // of the path
	path      string   // where that is
	variables []string // of those that a run sets, by which it may come to trust
	// client returns the command line that asks for url, and its standard input;
	// nil: it is not tried, for why.
	client func(url, dir string) (argv []string, stdin string)
	why    string
}

// exitAbsent is the exit code of a client whose library is not installed, as
// Automake's tests have it.
const exitAbsent = 77

// askJava asks for its second argument by what the first one says.
const askJava = `import java.net.*;
import java.net.http.*;

class Ask {
    public static void main(String[] a) throws Exception {
        if (a[0].equals("client")) {
            HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[1])).build(), HttpResponse.BodyHandlers.ofString());
        } else {
            ((HttpURLConnection) new URL(a[1]).openConnection()).getResponseCode();
        }
    }
}
`

// attempts are the runtimes that are looked for, in the order of the report.
func attempts() []attempt {
	certFile, bundle, extra := []string{"SSL_CERT_FILE"}, []string{"REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}, []string{"NODE_EXTRA_CA_CERTS"}
	all := []attempt{
		{name: "curl", program: "curl", variables: certFile, client: plainly("curl", "-sS", "-o", os.DevNull)},
		{name: "wget", program: "wget", client: plainly("wget", "-q", "-t", "1", "-O", os.DevNull)},
		{name: "git", program: "git", client: plainly("git", "ls-remote")},
		{name: "openssl", program: "openssl", variables: certFile, client: rawly("openssl", "s_client", "-quiet", "-verify_return_error", "-servername", demoHost, "-connect", "HOST:PORT")},
		{name: "gnutls-cli", program: "gnutls-cli", client: rawly("gnutls-cli", "-p", "PORT", "HOST")},
		{name: "Python urllib", program: "python3", variables: certFile, client: pythonScript("import urllib.request as u\nu.urlopen(sys.argv[1])")},
		{name: "Python requests", program: "python3", variables: bundle, client: pythonScript("try: import requests\nexcept ImportError: sys.exit(77)\nrequests.get(sys.argv[1])")},
		{name: "Python httpx", program: "python3", variables: certFile, client: pythonScript("try: import httpx\nexcept ImportError: sys.exit(77)\nhttpx.get(sys.argv[1])")},
		{name: "pip", program: "python3", variables: bundle, client: pipDownload},
		{name: "Node fetch", program: "node", variables: extra, client: plainly("node", "-e", "fetch(process.argv[1])")},
		{name: "Node https", program: "node", variables: extra, client: plainly("node", "-e", "require('https').get(process.argv[1], r => r.resume())")},
		{name: "Deno", program: "deno", variables: extra, client: evaluated("deno", "eval", "await fetch(%q)")},
		{name: "Bun", program: "bun", variables: extra, client: evaluated("bun", "-e", "await fetch(%q)")},
		{name: "Java HttpsURLConnection", program: "java", variables: []string{"JAVA_TOOL_OPTIONS"}, client: javaSource("connection")},
		{name: "Java HttpClient", program: "java", variables: []string{"JAVA_TOOL_OPTIONS"}, client: javaSource("client")},
		{name: "Ruby net/http", program: "ruby", variables: certFile, client: plainly("ruby", "-rnet/http", "-e", "Net::HTTP.get(URI(ARGV[0]))")},
		{name: "PHP streams", program: "php", variables: certFile, client: plainly("php", "-r", "file_get_contents($argv[1]);")},
		{name: "Perl LWP", program: "perl", variables: []string{"PERL_LWP_SSL_CA_FILE", "SSL_CERT_FILE"},
			client: plainly("perl", "-e", "eval {require LWP::UserAgent; require LWP::Protocol::https} or exit 77; LWP::UserAgent->new->get($ARGV[0])")},
		{name: "Perl HTTP::Tiny", program: "perl", variables: certFile,
			client: plainly("perl", "-e", "eval {require HTTP::Tiny; require IO::Socket::SSL} or exit 77; HTTP::Tiny->new(verify_SSL => 1)->get($ARGV[0])")},
		{name: "cargo", program: "cargo", variables: []string{"CARGO_HTTP_CAINFO", "SSL_CERT_FILE"}, client: cargoSearch},
		{name: "Go", program: "go", why: "to compile a program takes longer than a try; Go's read SSL_CERT_FILE, else the system's bundle, as openssl does"},
		{name: ".NET", program: "dotnet", why: "to compile a program takes longer than a try; on Linux .NET's read what openssl does"},
	}
	return all
}

// cannot is why a is not tried, "" if it is.
func (a attempt) cannot() string {
	if a.program != "java" {
		return a.why
	}
	exe, err := filepath.EvalSymlinks(a.path)
	if err == nil {
		_, err = exec.LookPath(filepath.Join(filepath.Dir(exe), "javac"))
	}
	if err != nil {
		return "there is a JRE only, which runs no source; it reads the cacerts that a run covers"
	}
	return ""
}

// argv is the command line by which a asks o for path, and its standard input.
func (a attempt) argv(o *demoOrigin, path, dir string) (argv []string, stdin string) {
	return a.client(o.url("https", path), dir)
}

// env is what keeps a from writing elsewhere than to dir, and from asking.
func (a attempt) env(dir string) []string {
	switch a.program {
	case "cargo":
		return []string{"CARGO_HOME=" + dir}
	case "deno":
		return []string{"DENO_DIR=" + dir, "DENO_NO_UPDATE_CHECK=1"}
	case "git":
		return []string{"GIT_TERMINAL_PROMPT=0"}
	case "python3":
		return []string{"PYTHONDONTWRITEBYTECODE=1"}
	}
	return nil
}

// plainly is argv with the URL behind it.
func plainly(argv ...string) func(url, dir string) ([]string, string) {
	return func(url, _ string) ([]string, string) { return append(argv[:len(argv):len(argv)], url), "" }
}

// evaluated is argv whose last word has the URL in it.
func evaluated(argv ...string) func(url, dir string) ([]string, string) {
	last := len(argv) - 1
	return func(url, _ string) ([]string, string) {
		return append(argv[:last:last], fmt.Sprintf(argv[last], url)), ""
	}
}

// rawly is argv, to which the request is written.
func rawly(argv ...string) func(url, dir string) ([]string, string) {
	return func(url, _ string) ([]string, string) {
		authority, path, _ := strings.Cut(strings.TrimPrefix(url, "https://"), "/")
		host, port, _ := strings.Cut(authority, ":")
		var words []string
		for _, a := range argv {
			words = append(words, strings.NewReplacer("HOST", host, "PORT", port).Replace(a))
		}
		return words, "GET /" + path + " HTTP/1.0\r\nHost: " + authority + "\r\n\r\n"
	}
}

// pythonScript runs script, which has sys.
func pythonScript(script string) func(url, dir string) ([]string, string) {
	return plainly("python3", "-B", "-c", "import sys\n"+script)
}

// pipDownload asks an index for a package that it does not have.
func pipDownload(url, _ string) ([]string, string) {
	script := "import sys\ntry: import pip\nexcept ImportError: sys.exit(77)\nimport runpy\nrunpy.run_module('pip', run_name='__main__')"
	return []string{"python3", "-B", "-c", script, "download", "--no-cache-dir", "--disable-pip-version-check", "--retries=0", "--no-deps", "-q", "-i", url, "none"}, ""
}

// javaSource runs the source of askJava.
func javaSource(by string) func(url, dir string) ([]string, string) {
	return func(url, dir string) ([]string, string) {
		return []string{"java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", filepath.Join(dir, "Ask.java"), by, url}, ""
	}
}

// cargoSearch asks a registry.
func cargoSearch(url, _ string) ([]string, string) {
	return []string{"cargo", "search", "-q", "--index", "sparse+" + url + "/", "none"}, ""
}
