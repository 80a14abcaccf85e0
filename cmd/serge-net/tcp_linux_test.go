package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/redirect/testnet"
)

// A protocol is one of those that serge-net does not know, with a real server and
// real clients.
type protocol struct {
	name    string
	ready   string // what the server says when it listens
	server  []string
	clients [][]string
}

// tcpAddr is the address that a server of the tests listens on.
func tcpAddr() string { return testnet.Lookup(testnet.TCP).V4.String() }

// redis are its own client and the one of Python, plain.
func redis(t *testing.T) protocol {
	const script = `
import redis
r = redis.Redis(host="` + testnet.TCP + `", port=6379)
r.set("greeting", "hello\r\nworld")
print(r.get("greeting"), r.incr("n"), r.incr("n"))
p = r.pipeline(); p.lpush("l", *range(500)); p.lrange("l", 0, -1); print(len(p.execute()[1]))
`
	return protocol{
		name: "redis", ready: "Ready to accept connections",
		server: []string{"redis-server", "--bind", tcpAddr(), "--port", "6379", "--save", "", "--dir", t.TempDir(), "--protected-mode", "no"},
		clients: [][]string{
			{"redis-cli", "-h", testnet.TCP, "PING"},
			{"redis-cli", "-h", testnet.TCP, "INCR", "counter"},
			{"bash", "-c", "redis-cli -h " + testnet.TCP + " INCR twice; redis-cli -h " + testnet.TCP + " INCR twice"},
			{"/usr/bin/python3", "-c", script},
		},
	}
}

// smtp is Python's client, in the clear, with STARTTLS and inside TLS.
func smtp(t *testing.T, r *rig) protocol {
	cert, key := r.certificate(t)
	client := func(args ...string) []string {
		return append([]string{"/usr/bin/python3", absolute(t, "testdata/clients/smtp_client.py")}, args...)
	}
	return protocol{
		name: "smtp", ready: "listening",
		server: []string{"/usr/bin/python3", absolute(t, "testdata/servers/smtp.py"), tcpAddr(), cert, key},
		clients: [][]string{
			client("plain", testnet.TCP),
			client("starttls", testnet.TCP),
			client("smtps", testnet.TCP),
			client("starttls", testnet.TCP, "ada", "hunter22hunter"),
		},
	}
}

// postgres is psql and a driver, as users who are let in in each way, in the clear and
// inside TLS.
func postgres(t *testing.T, r *rig) protocol {
	dir, cert, key := r.serverDir(t, "postgres")
	const bin = "/usr/lib/postgresql/15/bin/"
	asUser(t, "postgres", bin+"initdb", "-D", dir+"/data", "-A", "trust", "-N")
	single := exec.Command("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", bin+"postgres", "--single", "-D", dir+"/data", "postgres")
	single.Stdin = strings.NewReader(`create role tim login
set password_encryption = 'md5'
create role mia login password 'md5 password'
set password_encryption = 'scram-sha-256'
create role sam login password 'scram password'
`)
	if out, err := single.CombinedOutput(); err != nil {
		t.Fatalf("make users: %v\n%s", err, out)
	}
	hba := "host all tim all trust\nhost all mia all md5\nhost all sam all scram-sha-256\n"
	if err := os.WriteFile(dir+"/data/pg_hba.conf", []byte(hba), 0o644); err != nil {
		t.Fatal(err)
	}
	psql := func(user, tls string) []string {
		ask := `psql "host=` + testnet.TCP + ` dbname=postgres user=` + user + ` sslmode=` + tls + `" -At -c "select 6*7, current_user" -c "select * from generate_series(1, 3)"`
		return []string{"bash", "-c", "PGPASSWORD='" + map[string]string{"mia": "md5 password", "sam": "scram password"}[user] + "' " + ask}
	}
	driver := func(user, password string) []string {
		return []string{"/usr/bin/python3", "-c", `
import asyncio, asyncpg, psycopg2
c = psycopg2.connect(host="` + testnet.TCP + `", dbname="postgres", user="` + user + `", password="` + password + `")
q = c.cursor()
q.execute("create temp table t (n int); insert into t select generate_series(1, %s); select sum(n) from t", (100,))
print(q.fetchall(), c.get_parameter_status("server_version"))
c.close()
async def main():
    c = await asyncpg.connect(host="` + testnet.TCP + `", database="postgres", user="` + user + `", password="` + password + `")
    print([tuple(r) for r in await c.fetch("select n, $1::text || n from generate_series(1, 3) n", "a")])
    await c.close()
asyncio.run(main())
`}
	}
	return protocol{
		name: "postgres", ready: "ready to accept connections",
		server: []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", bin + "postgres", "-D", dir + "/data", "-h", tcpAddr(),
			"-k", dir, "-c", "ssl=on", "-c", "ssl_cert_file=" + cert, "-c", "ssl_key_file=" + key, "-c", "fsync=off"},
		clients: [][]string{
			psql("tim", "disable"), psql("mia", "disable"), psql("sam", "disable"), psql("mia", "require"), psql("sam", "require"),
			driver("tim", ""), driver("mia", "md5 password"), driver("sam", "scram password"),
		},
	}
}

// mariadb is its own client and a driver, in the clear and inside TLS.
func mariadb(t *testing.T, r *rig) protocol {
	dir, cert, key := r.serverDir(t, "mysql")
	users := dir + "/users.sql"
	if err := os.WriteFile(users, []byte("create user ann@'%' identified by 'ann password';\ngrant all on *.* to ann@'%';\nflush privileges;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	asUser(t, "mysql", "mariadb-install-db", "--no-defaults", "--datadir="+dir+"/data", "--skip-test-db")
	client := func(tls string) []string {
		return []string{"mariadb", "--no-defaults", "-h", testnet.TCP, "-u", "ann", "-pann password", tls, "-N", "-e", "select 6*7, current_user(); show databases"}
	}
	script := `
import pymysql
c = pymysql.connect(host="` + testnet.TCP + `", user="ann", password="ann password")
q = c.cursor()
q.execute("create database d"); q.execute("create table d.t (s text)")
q.executemany("insert into d.t values (%s)", [("x" * 50000,), ("y",)]); c.commit()
q.execute("select left(s, 3), length(s) from d.t order by s")
print(q.fetchall()); q.execute("drop database d"); c.close()
`
	return protocol{
		name: "mariadb", ready: "ready for connections",
		server: []string{"setpriv", "--reuid=mysql", "--regid=mysql", "--init-groups", "mariadbd", "--no-defaults", "--datadir=" + dir + "/data", "--socket=" + dir + "/s",
			"--bind-address=" + tcpAddr(), "--ssl-cert=" + cert, "--ssl-key=" + key, "--init-file=" + users, "--skip-name-resolve"},
		clients: [][]string{client("--skip-ssl"), client("--ssl"), {"/usr/bin/python3", "-c", script}},
	}
}

// serverDir is a directory for a server that runs as user, and a certificate in it.
func (r *rig) serverDir(t *testing.T, user string) (dir, cert, key string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "serge-net-"+user+"-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, k := r.certificate(t)
	cert, key = dir+"/cert.pem", dir+"/key.pem"
	for from, to := range map[string]string{c: cert, k: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-R", user, dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	return dir, cert, key
}

// asUser runs argv as user.
func asUser(t *testing.T, user string, argv ...string) {
	t.Helper()
	cmd := exec.Command("setpriv", append([]string{"--reuid=" + user, "--regid=" + user, "--init-groups"}, argv...)...)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// certificate is a file each with a certificate for the host of raw protocols, and
// its key.
func (r *rig) certificate(t *testing.T) (cert, key string) {
	t.Helper()
	c, err := r.net.CA.Issue(testnet.Leaf{Names: []string{testnet.TCP}})
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// protocols are those that are tried: with all tests, databases too.
func protocols(t *testing.T, r *rig) []protocol {
	ps := []protocol{redis(t), smtp(t, r)}
	if os.Getenv("SERGE_TEST_ALL") != "" {
		ps = append(ps, postgres(t, r), mariadb(t, r))
	}
	return ps
}

// TestRawProtocols records what real clients say to real servers, stops these, and
// has the clients print the same from the recording.
func TestRawProtocols(t *testing.T) {
	r := newRig(t)
	for _, p := range protocols(t, r) {
		t.Run(p.name, func(t *testing.T) {
			r := r.in(t, "")
			s := r.net.Serve(p.ready, p.server[0], p.server[1:]...)
			var said []string
			for n, argv := range p.clients {
				o := r.record(p.name+string(rune('a'+n)), argv...)
				if o.stdout == "" || strings.Contains(o.stderr, "not recorded") {
					t.Errorf("%q said %q\n%s", argv, o.stdout, o.stderr)
				}
				said = append(said, o.stdout)
			}
			s.Stop()
			for n, argv := range p.clients {
				if o := r.replay(p.name+string(rune('a'+n)), argv...); o.stdout != said[n] {
					t.Errorf("%q said %q; recorded %q\n%s", argv, o.stdout, said[n], o.stderr)
				}
			}
		})
	}
}

// absolute is the path of file, which is of this package, from anywhere.
func absolute(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
