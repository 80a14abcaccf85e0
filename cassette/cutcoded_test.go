package cassette

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// TestStreamCutCoded holds that a coded stream that was cut is shown as far as it
// goes, replayed as it came, and that secrets in it are found.
func TestStreamCutCoded(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		for name, tt := range map[string]struct{ text, holds string }{
			"clean":    {"data: {\"n\":1}\n\ndata: 2\n\ndata: 3", `{"json": {"n": 1}}`},
			"a secret": {"data: " + streamToken + "\n\n", `{"data": "{{secret:github#1}}"}`},
		} {
			var b bytes.Buffer
			w, err := encoderOnce(&b, coding)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, tt.text)
			w.(interface{ Flush() error }).Flush()
			s, dir := newStore(t)
			for _, lean := range []bool{false, true} {
				r, err := s.Record("x", RecordOptions{Lean: lean})
				if err != nil {
					t.Fatal(err)
				}
				streamed(t, r, get("/events"), eventsHead("Content-Encoding: "+coding), &exchange.End{How: exchange.Left}, b.String())
				if _, err := r.Close(false); err != nil {
					t.Fatal(err)
				}
				text := read(t, dir, "x.json")
				if !strings.Contains(text, tt.holds) || strings.Contains(text, streamToken) {
					t.Errorf("%s, %s, lean %v: no %s in\n%s", coding, name, lean, tt.holds, text)
				}
				var got []byte
				listen(t, playerOf(t, load(t, s, "x"), PlayOptions{}), get("/events"), func(e exchange.Event) { got = append(got, e.Data...) })
				if name == "clean" && !bytes.Equal(got, b.Bytes()) {
					t.Errorf("%s, lean %v: replayed as %q; want %q", coding, lean, got, b.Bytes())
				}
			}
		}
	}
}
