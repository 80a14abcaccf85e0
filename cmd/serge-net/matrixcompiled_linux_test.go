package main

// What builds and asks for the package of the shelf: as a parent, as a dependency, and to lock.
const (
	mavenScript = `d=$(mktemp -d) && cd $d && cat >settings.xml <<END
<settings><mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf><url>$1/maven</url></mirror></mirrors></settings>
END
cat >pom.xml <<END
<project><modelVersion>4.0.0</modelVersion><parent><groupId>test</groupId><artifactId>testnet</artifactId><version>1</version><relativePath/></parent><artifactId>child</artifactId><packaging>pom</packaging></project>
END
mvn -q -s settings.xml -Dmaven.repo.local=$d/repository validate && cat repository/test/testnet/1/*.pom | sed 's/testnet/"testnet"/' && rm -r $d`

	gradleScript = `d=$(mktemp -d) && cd $d && cat >build.gradle <<END
repositories { maven { url '$1/maven' } }
configurations { x }
dependencies { x 'test:testnet:1@pom' }
task show { doLast { println configurations.x.files*.name.collect { it.replace('testnet', '"testnet"') } } }
END
GRADLE_USER_HOME=$d/home gradle --no-daemon -q show && rm -r $d`

	cargoScript = `d=$(mktemp -d) && cd $d && mkdir src && touch src/lib.rs && cat >Cargo.toml <<END
[package]
name = "child"
version = "0.0.0"
edition = "2021"
[dependencies]
testnet = { version = "1", registry = "shelf" }
END
export CARGO_HOME=$d/home PATH="$CLIENTS/rust/toolchain/bin:$PATH" CARGO_NET_RETRY=0 CARGO_REGISTRIES_SHELF_INDEX=sparse+$1/cargo/
cargo generate-lockfile -q && grep '"testnet"' Cargo.lock && rm -r $d`

	bundlerScript = `d=$(mktemp -d) && cd $d && printf 'source "%s/gems/"\ngem "testnet"\n' "$1" >Gemfile &&
BUNDLE_USER_HOME=$d BUNDLE_RETRY=0 bundle lock >&2 && sed 's/testnet/"testnet"/' Gemfile.lock && cd / && rm -r $d`
)

func javaClients() []matrixClient {
	const own, needs, version = "JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=$OWN/ca.jks", "java/installed", "java --version"
	const java = "java -Xshare:auto -XX:TieredStopAtLevel=1 -cp $CLIENTS/java:$CLIENTS/java/lib/'*' "
	var all []matrixClient
	for _, c := range []struct{ name, from, version, main string }{
		{"Java HttpClient", "Debian", version, "Get httpclient"},
		{"Java HttpsURLConnection", "Debian", version, "Get urlconnection"},
		{"OkHttp", "Maven Central", "ls $CLIENTS/java/lib | grep okhttp-", "Get okhttp"},
		{"Apache HttpClient", "Maven Central", "ls $CLIENTS/java/lib | grep httpclient5-fluent", "Get apache"},
		{"Kotlin URL.readText", "Debian", "kotlinc -version", "GetKt"},
	} {
		all = append(all, matrixClient{name: c.name, from: c.from, needs: needs, version: c.version, get: java + c.main + " $1/json", own: own})
	}
	return append(all,
		matrixClient{name: "Maven", from: "Debian", needs: "mvn", version: "mvn --version", get: mavenScript, own: own},
		matrixClient{name: "Gradle", from: "Debian", needs: "gradle", version: "gradle --version", get: gradleScript, own: own},
		matrixClient{name: ".NET HttpClient", from: "NuGet", absent: "not in a registry here"},
	)
}

func compiledClients() []matrixClient {
	const own = "SSL_CERT_FILE=$OWN/ca.pem"
	all := []matrixClient{
		{name: "Go net/http, static", from: "Go", needs: "go/installed", version: "cat $CLIENTS/go/version", get: "$CLIENTS/go/static $1/json", own: own},
		{name: "Go net/http, cgo", from: "Go", needs: "go/installed", version: "cat $CLIENTS/go/version", get: "$CLIENTS/go/cgo $1/json", own: own},
	}
	for _, roots := range []string{"native-tls", "native-roots", "platform-verifier", "webpki-roots"} {
		p := matrixClient{name: "reqwest, " + roots, from: "crates.io", needs: "rust/installed", version: "grep -A1 '\"reqwest\"' $CLIENTS/rust/Cargo.lock",
			get: "$CLIENTS/rust/rustget " + roots + " $1/json", own: own}
		if roots == "webpki-roots" {
			p.own, p.process, p.remedy = "", "rustget", "--bypass"
			p.note = "its roots are compiled in; the program's own option, if it has one, or `--bypass`, is all there is"
		}
		all = append(all, p)
	}
	return append(all, matrixClient{name: "cargo", from: "Rust", needs: "rust/installed", version: "$CLIENTS/rust/toolchain/bin/cargo --version", get: cargoScript, own: "CARGO_HTTP_CAINFO=$OWN/ca.pem"})
}

func scriptClients() []matrixClient {
	const ssl = "SSL_CERT_FILE=$OWN/ca.pem"
	const php = "PHP_INI_SCAN_DIR=:$OWN/php"
	return []matrixClient{
		{name: "Ruby net/http", from: "Debian", needs: "ruby", version: "ruby --version", get: "ruby $CLIENTS/ruby/get.rb net-http $1/json", own: ssl},
		{name: "Faraday", from: "Debian", needs: "ruby", version: "ruby -e 'require \"faraday\"; print Faraday::VERSION'", get: "ruby $CLIENTS/ruby/get.rb faraday $1/json", own: ssl},
		{name: "Bundler", from: "Debian", needs: "bundle", version: "bundle --version", get: bundlerScript, own: ssl},
		{name: "PHP curl", from: "Debian", needs: "php", version: "php --version", get: "php $CLIENTS/php/get.php curl $1/json", own: php},
		{name: "PHP streams", from: "Debian", needs: "php", version: "php --version", get: "php $CLIENTS/php/get.php streams $1/json", own: ssl},
		{name: "Guzzle", from: "Debian", needs: "php", version: "dpkg-query -W -f '${Version}' php-guzzlehttp-guzzle", get: "php $CLIENTS/php/get.php guzzle $1/json", own: php},
		{name: "Perl LWP", from: "Debian", needs: "perl", version: "perl -MLWP -e 'print LWP->VERSION'", get: "perl $CLIENTS/perl/get.pl lwp $1/json", own: "PERL_LWP_SSL_CA_FILE=$OWN/ca.pem"},
		{name: "Perl HTTP::Tiny", from: "Debian", needs: "perl", version: "perl -MHTTP::Tiny -e 'print HTTP::Tiny->VERSION'", get: "perl $CLIENTS/perl/get.pl tiny $1/json", own: ssl},
		{name: "libsoup", from: "Debian", needs: "/usr/bin/python3", version: "dpkg-query -W -f '${Version}' libsoup-3.0-0", get: python("/usr/bin/python3", "soup", "/json")},
		{name: "GIO", from: "Debian", needs: "/usr/bin/python3", version: "dpkg-query -W -f '${Version}' glib-networking", get: python("/usr/bin/python3", "gio", "/json")},
	}
}

func browsers() []matrixClient {
	return []matrixClient{
		{name: "Chromium", from: "Debian", needs: "chromium", version: "chromium --version",
			get: `d=$(mktemp -d) && chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=$d --dump-dom $1/html; s=$?; rm -r $d; exit $s`},
		{name: "Firefox", from: "Debian", needs: "firefox-esr", version: "firefox-esr --version", silent: true,
			get: `d=$(mktemp -d) && timeout 50 firefox-esr --headless --profile $d --screenshot $d/page.png $1/html; s=$?; rm -r $d; exit $s`},
	}
}
