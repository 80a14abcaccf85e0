package secret

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
)

// FuzzFind holds findings to their order and place, to what their forms say they
// are, and to be the same however the text is cut.
func FuzzFind(f *testing.F) {
	for _, v := range samples() {
		f.Add(`{"access_token":"`+v+`"}`, uint16(9))
		f.Add(base64.StdEncoding.EncodeToString([]byte("ab"+v+"!"))+url.QueryEscape(v), uint16(40))
	}
	f.Add("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----", uint16(30))
	f.Add("grant_type=x&code=4%2F0AX4XfWh&password=h%26nter http://a:bcdef@h user[password]=xyzabc", uint16(33))
	f.Add(`{"user":{"pin":"12\"34"},"list":[1,{"x":null}]}`, uint16(3))
	s, err := New(Config{Known: []Known{{"env", "s3cr3t/val=ue"}}, JSON: []string{"$.user.pin", "$..x"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		found := s.Find([]byte(text))
		at := 0
		for _, x := range found {
			if x.From < at || x.To <= x.From || x.To > len(text) || x.Value == "" {
				t.Fatalf("%+v behind %d in %q", x, at, text)
			}
			if got := text[x.From:x.To]; strings.HasPrefix(string(x.Form), "base64") && x.Form.Encode(x.Value) != got {
				t.Errorf("%q in form %s is %q; it was %q", x.Value, x.Form, x.Form.Encode(x.Value), got)
			}
			at = x.To
		}
		s.FindJSON([]byte(text))
		var b strings.Builder
		st := s.Stream()
		i := min(int(cut), len(text))
		for n, piece := range []string{text[:i], text[i:]} {
			st.Next([]byte(piece), n == 1, func(text []byte, x *Finding) { b.Write(text) })
		}
		if b.String() != text {
			t.Errorf("cut at %d, %q comes out as %q", i, text, b.String())
		}
	})
}
