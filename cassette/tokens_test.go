package cassette

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serge-net/serge-net/exchange"
)

// tokenUntil is a JWT that expires at exp.
func tokenUntil(exp time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":"ada","exp":%d}`, exp.Unix())) + ".c2ln"
}

// TestPlayExpired tells once of each answer with something signed that was good
// when it was recorded and is not now.
func TestPlayExpired(t *testing.T) {
	recorded := time.Now().Add(-100 * time.Hour).UTC().Truncate(time.Second)
	later := recorded.Add(time.Hour)
	link := func(sep string, seconds int) string {
		return "https://b.s3.amazonaws.com/k?X-Amz-Date=" + recorded.Format("20060102T150405Z") + sep + fmt.Sprintf("X-Amz-Expires=%d", seconds) + sep + "X-Amz-Signature=0"
	}
	tests := []struct {
		name, body, what string
		head             string
	}{
		{"JWT", `{"token":"` + tokenUntil(later) + `"}`, "JWT", ""},
		{"JWT in a field", "", "JWT", "X-Token: " + tokenUntil(later)},
		{"JWT good still", `{"token":"` + tokenUntil(recorded.Add(1000*time.Hour)) + `"}`, "", ""},
		{"JWT over when recorded", `{"token":"` + tokenUntil(recorded.Add(-time.Hour)) + `"}`, "", ""},
		{"no exp", `{"token":"eyJhIjoxfQ.eyJhIjoxfQ.c2ln"}`, "", ""},
		{"link", `{"url":"` + link("&", 3600) + `"}`, "signed link", ""},
		{"link in JSON", `{"url":"` + link(`\u0026`, 3600) + `"}`, "signed link", ""},
		{"link in Location", "", "signed link", "Location: " + strings.Replace(link("&", 3600), "X-Amz", "X-Goog", 2)},
		{"link good still", link("&", 3600000), "", ""},
		{"two links", link("&", 3600000) + " " + link("&", 3600), "signed link", ""},
		{"plain", "hello", "", ""},
	}
	for _, tt := range tests {
		var head []string
		if tt.head != "" {
			head = append(head, tt.head)
		}
		s, _ := newStore(t)
		recordAll(t, s, "x", RecordOptions{Redact: Redaction{Off: true}}, asked{req: get("/a"), res: ok(head...), answer: tt.body})
		p := playerOf(t, load(t, s, "x"), PlayOptions{})
		p.c.RecordedAt = recorded
		ask(t, p, get("/a"), "")
		ask(t, p, get("/a"), "")
		var want []Expiry
		if tt.what != "" {
			want = []Expiry{{p.c.Interactions[0].ID, "GET", "http://api.example.com/a", tt.what, later}}
		}
		if d := cmp.Diff(want, p.Tally().Expired); d != "" {
			t.Errorf("%s: Expired (-want +got):\n%s", tt.name, d)
		}
	}
}

// TestShiftDates moves what HTTP says of time, and nothing else: the closed list
// of what a replay changes (invariant 5).
func TestShiftDates(t *testing.T) {
	recorded := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := recorded.Add(48 * time.Hour)
	at := func(d time.Duration) string { return recorded.Add(d).Format(http.TimeFormat) }
	was, hour, moved := at(0), at(time.Hour), at(48*time.Hour)
	hourMoved := at(49 * time.Hour)
	tests := []struct{ field, want string }{
		{"Date: " + was, "Date: " + moved},
		{"Expires: " + hour, "Expires: " + hourMoved},
		{"Expires: 0", "Expires: 0"},
		{"Retry-After: " + hour, "Retry-After: " + hourMoved},
		{"Retry-After: 120", "Retry-After: 120"},
		{"Last-Modified: " + was, "Last-Modified: " + was},
		{"If-Modified-Since: " + was, "If-Modified-Since: " + was},
		{"Sunset: " + hour, "Sunset: " + hour},
		{"X-Date: " + was, "X-Date: " + was},
		{"Age: 5", "Age: 5"},
		{"Set-Cookie: a=b; Expires=" + hour + "; Path=/", "Set-Cookie: a=b; Expires=" + hourMoved + "; Path=/"},
		{"Set-Cookie: a=b; path=/; expires=Fri, 02-Jan-2026 04:04:05 GMT", "Set-Cookie: a=b; path=/; expires=Sun, 04-Jan-2026 04:04:05 GMT"},
		{"Set-Cookie: expires=" + hour + "; Path=/", "Set-Cookie: expires=" + hour + "; Path=/"},
		{"Set-Cookie: a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Set-Cookie: a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"},
	}
	// Values are the same in several fields: each is moved in its own line.
	h := &exchange.Head{Status: 200, Version: "1.1"}
	raw, want := "HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\n"
	h.Fields = append(h.Fields, exchange.Field{Name: "Last-Modified", Value: was})
	raw, want = raw+"Last-Modified:  "+was+"\n", want+"Last-Modified:  "+was+"\n"
	for _, tt := range tests {
		name, value, _ := strings.Cut(tt.field, ": ")
		h.Fields = append(h.Fields, exchange.Field{Name: name, Value: value})
		raw, want = raw+tt.field+"\n", want+tt.want+"\n"
	}
	h.Raw = []byte(raw + "\n")
	shiftDates(h, time.Time{}, now)
	for n, tt := range tests {
		if f := h.Fields[n+1]; f.Name+": "+f.Value != tt.want {
			t.Errorf("%s became %s: %s; want %s", tt.field, f.Name, f.Value, tt.want)
		}
	}
	if d := cmp.Diff(want+"\n", string(h.Raw)); d != "" {
		t.Errorf("the head as it was (-want +got):\n%s", d)
	}
}
