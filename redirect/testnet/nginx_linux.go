package testnet

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"text/template"
)

// nginxProgram is where Debian's nginx-light is.
const nginxProgram = "/usr/sbin/nginx"

// nginxBlob is how many bytes of Random(1) nginx serves at /blob.bin.
const nginxBlob = 1 << 20

// nginxConfig makes one process that serves files. Each request is counted,
// before it is answered, by a subrequest to us; those below /fast/ are not.
const nginxConfig = `
daemon off;
master_process off;
pid {{.Dir}}/nginx.pid;
error_log stderr notice;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path {{.Dir}}/t1; proxy_temp_path {{.Dir}}/t2; fastcgi_temp_path {{.Dir}}/t3;
  uwsgi_temp_path {{.Dir}}/t4; scgi_temp_path {{.Dir}}/t5;
  types { text/plain txt; text/html html; application/json json; }
  default_type application/octet-stream;
  keepalive_requests 10000000; # by default a connection ends after 1000
  gzip on; gzip_types application/json; gzip_min_length 10;
  upstream counter { server {{.Counter}}; keepalive 16; }
  server {
    listen {{.V4}}:80; listen [{{.V6}}]:80;
    ssl_protocols TLSv1.2 TLSv1.3; # as 1.23.4 and later have it by default
    listen {{.V4}}:443 ssl http2; listen [{{.V6}}]:443 ssl http2;
    server_name {{.Name}};
    ssl_certificate {{.Dir}}/nginx.crt; ssl_certificate_key {{.Dir}}/nginx.key;
    root {{.Dir}}/root;
    auth_request /_count;
    location /fast/ { auth_request off; alias {{.Dir}}/root/; }
    location = /_count {
      internal;
      proxy_pass http://counter;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Uri $request_uri;
    }
  }
}
`

// nginxFiles are what nginx serves, by path, and below /fast/ without being
// counted, for measurements. /data.json is compressed for who
// accepts gzip; all answer ranges and conditional requests.
func nginxFiles() (map[string][]byte, error) {
	blob, err := io.ReadAll(io.LimitReader(Random(1), nginxBlob))
	if err != nil {
		return nil, fmt.Errorf("make the blob: %w", err)
	}
	return map[string][]byte{
		"index.html": []byte("<!doctype html><title>nginx</title><p>hello from " + Nginx + "\n"),
		"hello.txt":  []byte("hello from " + Nginx + "\n"),
		"data.json":  []byte(JSON),
		"blob.bin":   blob,
	}, nil
}

// startNginx runs nginx in the internet's namespace until r is closed. It
// listens when startNginx returns.
func (n *Net) startNginx(r *rack) error {
	if err := n.layNginx(r); err != nil {
		return err
	}
	ready := make(chan error, 1)
	r.running.Go(func() { n.keepNginx(r, ready) })
	return <-ready
}

// keepNginx starts nginx, tells ready how that went, and waits for its end. It
// keeps its thread: nginx is killed with it if the test is.
func (n *Net) keepNginx(r *rack, ready chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), int(n.link.internet)), "--",
		nginxProgram, "-p", n.dir, "-e", "stderr", "-c", filepath.Join(n.dir, "nginx.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err != nil {
		ready <- fmt.Errorf("start nginx: %w", err)
		return
	}
	if err := cmd.Start(); err != nil {
		ready <- fmt.Errorf("start nginx: %w", err)
		return
	}
	// nginx opens its listeners before it initialises the event module, which says so.
	lines := bufio.NewScanner(log)
	var said strings.Builder
	listening := false
	for lines.Scan() {
		if listening {
			continue
		}
		fmt.Fprintln(&said, lines.Text())
		if listening = strings.Contains(lines.Text(), "event method"); listening {
			// Not SIGTERM: a single nginx process that has not reached its first
			// epoll_wait would note it and then wait for ever.
			r.onClose(func() { _ = cmd.Process.Kill() }) // it may have crashed
			ready <- nil
		}
	}
	err = cmd.Wait()
	if !listening {
		ready <- fmt.Errorf("start nginx: %w\n%s", err, said.String())
	}
}

// layNginx writes nginx's files and starts its counter.
func (n *Net) layNginx(r *rack) error {
	h := Lookup(Nginx)
	cert, err := n.CA.Issue(Leaf{Names: []string{h.Name}, Addrs: h.Addrs()})
	if err != nil {
		return err
	}
	certPEM, keyPEM, err := PEM(cert)
	if err != nil {
		return err
	}
	counter, err := n.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for nginx's counter: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		path, _, _ := strings.Cut(req.Header.Get("X-Uri"), "?")
		n.hits.add(Nginx + path)
	})}
	r.running.Go(func() { _ = server.Serve(counter) }) // ErrServerClosed
	r.onClose(func() { _ = server.Close() })           // closes counter too

	var config strings.Builder
	err = template.Must(template.New("nginx").Parse(nginxConfig)).Execute(&config, map[string]any{
		"Dir": n.dir, "Name": h.Name, "V4": h.V4, "V6": h.V6, "Counter": counter.Addr(),
	})
	if err != nil {
		return fmt.Errorf("write nginx.conf: %w", err)
	}
	files, err := nginxFiles()
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(n.dir, "root"), 0o755); err != nil {
		return fmt.Errorf("lay nginx's files: %w", err)
	}
	for name, data := range files {
		n.file(filepath.Join("root", name), data)
	}
	n.file("nginx.crt", certPEM)
	n.file("nginx.key", keyPEM)
	n.file("nginx.conf", []byte(config.String()))
	return nil
}
