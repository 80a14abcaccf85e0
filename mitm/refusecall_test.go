package mitm

import (
	"strings"
	"testing"

	"github.com/serge-net/serge-net/exchange"
)

// TestRefusalOfCalls holds the forms in which calls that miss are told so.
func TestRefusalOfCalls(t *testing.T) {
	for _, c := range []struct {
		name, media string
		begun       bool
		want        string
	}{
		{"gRPC", "application/grpc+proto", false, "200 content-type=application/grpc+proto grpc-status=12 grpc-message=serge-net: miss: POST http://a/b.C/D%0A  %C3%A9%25 end"},
		{"gRPC that has begun", "application/grpc", true, "trailers grpc-status=12 end"},
		{"gRPC-Web", "application/grpc-web+proto", false, "200 content-type=application/grpc-web+proto \x80 grpc-status: 12\r\n"},
		{"gRPC-Web in text", "application/grpc-web-text", false, "gAAAA"},
		{"a stream of Connect", "application/connect+json", false, "\x02 {\"error\":{\"code\":\"unimplemented\",\"message\":\"serge-net: miss:"},
		{"Connect", "application/proto", false, "501 content-type=application/json {\"code\":\"unimplemented\",\"message\":\"serge-net: miss:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &exchange.Miss{Method: "POST", URL: "http://a/b.C/D", Reason: "é%", Call: c.media, Begun: c.begun}
			var said []string
			err := Refusal{}.answer(m, exchange.Event{Stream: 3}, func(e exchange.Event) error {
				switch e.Kind {
				case exchange.KindHead:
					said = append(said, []string{200: "200", 501: "501"}[e.Head.Status])
					for _, f := range e.Head.Fields {
						if f.Name != "content-length" {
							said = append(said, f.Name+"="+f.Value)
						}
					}
				case exchange.KindData:
					if data := string(e.Data); data[0] == 0x80 || data[0] == 2 {
						said = append(said, data[:1], data[5:])
					} else {
						said = append(said, data)
					}
				case exchange.KindTrailers:
					said = append(said, "trailers", e.Fields[0].Name+"="+e.Fields[0].Value)
				case exchange.KindEnd:
					said = append(said, "end")
				}
				return nil
			})
			got := strings.Join(said, " ")
			if err != nil || !strings.Contains(strings.ReplaceAll(got, "serge-net-miss=1 ", ""), c.want) || !strings.HasSuffix(got, "end") {
				t.Errorf("it answers %q, %v; want %q", got, err, c.want)
			}
		})
	}
	if got := percentEncoded("a b%\n~é"); got != "a b%25%0A~%C3%A9" {
		t.Errorf("percentEncoded gives %s", got)
	}
}
