package secret

import "testing"

// TestLogin finds passwords in what clients say, and nothing in what only looks so.
func TestLogin(t *testing.T) {
	for _, c := range []struct{ name, asked, said, want string }{
		{"RESP", "", "*2\r\n$4\r\nAUTH\r\n$6\r\nhunter\r\n*1\r\n$4\r\nPING\r\n", "hunter"},
		{"RESP with a user", "", "*3\r\n$4\r\nauth\r\n$3\r\nada\r\n$6\r\nhunter\r\n", "hunter"},
		{"HELLO", "", "*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\nada\r\n$6\r\nhunter\r\n", "hunter"},
		{"inline", "", "AUTH hunter\r\n", "hunter"},
		{"inline with a user", "", "AUTH ada hunter\r\n", "hunter"},
		{"AUTH PLAIN", "250 OK\r\n", "AUTH PLAIN AGFkYQBodW50ZXI=\r\n", "AGFkYQBodW50ZXI="},
		{"AUTH PLAIN, then", "334 \r\n", "AGFkYQBodW50ZXI=\r\n", "AGFkYQBodW50ZXI="},
		{"AUTH LOGIN", "250 OK\r\n", "AUTH LOGIN\r\n", ""},
		{"AUTH LOGIN's user", "334 VXNlcm5hbWU6\r\n", "YWRh\r\n", ""},
		{"AUTH LOGIN's password", "334 UGFzc3dvcmQ6\r\n", "aHVudGVy\r\n", "aHVudGVy"},
		{"AUTH TLS", "220 hi\r\n", "AUTH TLS\r\n", ""},
		{"AUTHENTICATE", "* OK\r\n", "a1 AUTHENTICATE PLAIN AGFkYQBodW50ZXI=\r\n", "AGFkYQBodW50ZXI="},
		{"IMAP", "* OK\r\n", "a1 LOGIN ada hunter\r\n", "hunter"},
		{"IMAP in quotes", "* OK\r\n", "a1 LOGIN \"ada l\" \"hun ter\"\r\n", "hun ter"},
		{"POP3", "+OK\r\n", "PASS hunter\r\n", "hunter"},
		{"PostgreSQL", "R\x00\x00\x00\x08\x00\x00\x00\x03", "p\x00\x00\x00\x0bhunter\x00", "hunter"},
		{"PostgreSQL's digest", "R\x00\x00\x00\x0c\x00\x00\x00\x05salt", "p\x00\x00\x00\x0bhunter\x00", ""},
		{"MySQL", "\x02\x00\x00\x04\x01\x04", "\x07\x00\x00\x05hunter\x00", "hunter"},
		{"MySQL's clear password", "\x16\x00\x00\x02\xfemysql_clear_password\x00", "\x07\x00\x00\x03hunter\x00", "hunter"},
		{"a query", "", "Q\x00\x00\x00\x0dselect 1\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, to, ok := Login([]byte(c.asked), []byte(c.said))
			if got := c.said[from:to]; got != c.want || ok != (c.want != "") {
				t.Errorf("Login(%q, %q) = %q, %v; want %q", c.asked, c.said, got, ok, c.want)
			}
		})
	}
}

// FuzzLogin finds what is in what is said.
func FuzzLogin(f *testing.F) {
	f.Add([]byte("334 UGFzc3dvcmQ6\r\n"), []byte("aHVudGVy\r\n"))
	f.Add([]byte("R\x00\x00\x00\x08\x00\x00\x00\x03"), []byte("p\x00\x00\x00\x0bhunter\x00"))
	f.Fuzz(func(t *testing.T, asked, said []byte) {
		if from, to, ok := Login(asked, said); from < 0 || to > len(said) || ok != (from < to) {
			t.Errorf("Login(%q, %q) = %d, %d, %v", asked, said, from, to, ok)
		}
	})
}
