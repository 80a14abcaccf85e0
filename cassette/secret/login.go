package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"sync"
)

// Login finds the password, or what stands for it, in what a client says to log in, by
// one of the protocols that have one in the clear: what the server said last is asked. It is
// false if there is none.
func Login(asked, said []byte) (from, to int, ok bool) {
	for _, find := range []func(asked, said []byte) (int, int){saslAnswer, postgresPassword, mysqlPassword, redisLine, loginLine} {
		if from, to = find(asked, said); from < to {
			return from, to, true
		}
	}
	return 0, 0, false
}

// loginLines are commands with a password, which is the first group of each.
var loginLines = sync.OnceValue(func() []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, s := range []string{
		`(?i)\$4\r\nAUTH\r\n(?:\$[0-9]+\r\n[^\r\n]*\r\n)?\$[0-9]+\r\n([^\r\n]+)\r\n`,              // RESP: AUTH and HELLO of Redis
		`(?im)^(?:[!-~]+ )?AUTH(?:ENTICATE)? (?:PLAIN|XOAUTH2|OAUTHBEARER) ([0-9A-Za-z+/=]+)\r?$`, // SASL with an initial response: RFC 4954, 4959, 5034
		`(?im)^PASS ([^\r\n]+)\r?$`,                                     // POP3, FTP, IRC
		`(?im)^[!-~]+ LOGIN (?:"[^"\r\n]*"|[!-~]+) "?([^"\r\n]+)"?\r?$`, // IMAP
	} {
		all = append(all, regexp.MustCompile(s))
	}
	return all
})

// loginLine is the password in a command.
func loginLine(_, said []byte) (from, to int) {
	for _, re := range loginLines() {
		if m := re.FindSubmatchIndex(said); m != nil {
			return m[2], m[3]
		}
	}
	return 0, 0
}

// redisLine is the password in AUTH as a person types it to Redis, which does not speak
// first as servers do where AUTH names a mechanism.
func redisLine(asked, said []byte) (from, to int) {
	line, _, whole := bytes.Cut(said, []byte("\r\n"))
	words := bytes.Fields(line)
	if len(asked) > 0 || !whole || len(words) < 2 || len(words) > 3 || !bytes.EqualFold(words[0], []byte("AUTH")) {
		return 0, 0
	}
	from = bytes.LastIndex(line, words[len(words)-1])
	return from, from + len(words[len(words)-1])
}

// saslAnswer is what a client says where a server asks for a password, or for an
// initial response, of SASL: the line is all that it says.
func saslAnswer(asked, said []byte) (from, to int) {
	line := bytes.TrimRight(asked, "\r\n")
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	challenge, ok := bytes.CutPrefix(line, []byte("334"))
	if !ok {
		challenge, ok = bytes.CutPrefix(line, []byte("+"))
	}
	answer := bytes.TrimRight(said, "\r\n")
	if !ok || len(answer) == len(said) || bytes.ContainsAny(answer, " \r\n") {
		return 0, 0
	}
	text, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(challenge)))
	if err != nil || len(text) > 0 && !bytes.Contains(bytes.ToLower(text), []byte("password")) {
		return 0, 0
	}
	if _, err := base64.StdEncoding.DecodeString(string(answer)); err != nil {
		return 0, 0
	}
	return 0, len(answer)
}

// postgresPassword is the password that a PostgreSQL server asked for in the clear:
// PostgreSQL 17, section 53.7, AuthenticationCleartextPassword and PasswordMessage.
func postgresPassword(asked, said []byte) (from, to int) {
	if !bytes.HasSuffix(asked, []byte("R\x00\x00\x00\x08\x00\x00\x00\x03")) || len(said) < 6 || said[0] != 'p' ||
		uint64(binary.BigEndian.Uint32(said[1:]))+1 != uint64(len(said)) || said[len(said)-1] != 0 {
		return 0, 0
	}
	return 5, len(said) - 1
}

// mysqlPassword is the password that a MySQL server asked for in the clear, inside TLS: for
// the plugin mysql_clear_password, or as caching_sha2_password does where it does not know the user.
func mysqlPassword(asked, said []byte) (from, to int) {
	const head = 4 // a packet's length, in three bytes, and its number
	full := bytes.HasPrefix(asked, []byte{2, 0, 0}) && bytes.HasSuffix(asked, []byte{1, 4}) && len(asked) == head+2
	if !full && !bytes.Contains(asked, []byte("\xfemysql_clear_password\x00")) {
		return 0, 0
	}
	if len(said) < head+2 || said[len(said)-1] != 0 || len(said) != head+(int(said[0])|int(said[1])<<8|int(said[2])<<16) {
		return 0, 0
	}
	return head, len(said) - 1
}
