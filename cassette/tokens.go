package cassette

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strconv"
	"time"
)

// An Expiry is something signed that was served after its time, though it was
// good when it was recorded. Signed values cannot be moved to today.
type Expiry struct {
	ID, Method, URL string    // of the interaction
	What            string    // "JWT" or "signed link"
	At              time.Time // when it expired, UTC
}

// note looks for what has expired in i's answer, once for each interaction.
func (p *Player) note(i *Interaction) {
	p.mu.Lock()
	known := p.noted[i.Seq]
	p.noted[i.Seq] = true
	p.mu.Unlock()
	if known || i.Response == nil {
		return
	}
	what, at := i.Response.expires(p.c.RecordedAt, time.Now())
	if what == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tally.Expired = append(p.tally.Expired, Expiry{i.ID, i.Request.Method, i.Request.URL, what, at})
}

// scanMost is how many bytes of a body are looked at for what expires: tokens
// and lists of links are shorter, and a larger body must not delay its answer.
const scanMost = 64 << 10

// expires is what in r was good when it was recorded and is not now, and when it
// expired; "" if nothing.
func (r *Response) expires(recorded, now time.Time) (what string, at time.Time) {
	over := func(t time.Time) bool { return !t.IsZero() && !t.Before(recorded) && t.Before(now) }
	texts := make([][]byte, 0, len(r.Fields)+1)
	for _, f := range r.Fields {
		texts = append(texts, []byte(f.Value))
	}
	if b, ok := (content{r.Body, r.Fields}).scanned(); ok {
		texts = append(texts, b)
	}
	for _, b := range texts {
		if t := jwtExpiry(b, over); !t.IsZero() {
			return "JWT", t
		}
		if t := linkExpiry(b, over); !t.IsZero() {
			return "signed link", t
		}
	}
	return "", time.Time{}
}

// scanned is the text of b, if it is short enough to be looked at.
func (b content) scanned() ([]byte, bool) {
	if b.Size == 0 || b.Size > scanMost {
		return nil, false
	}
	return b.text()
}

// A jwtForm is a JWT in its compact form (RFC 7519 section 3): {" in base64
// begins with eyJ. The group is its claims.
var jwtForm = regexp.MustCompile(`\beyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]+`)

// jwtExpiry is the exp of a JWT in b that is over, zero if there is none.
func jwtExpiry(b []byte, over func(time.Time) bool) time.Time {
	if !bytes.Contains(b, []byte("eyJ")) {
		return time.Time{}
	}
	for _, m := range jwtForm.FindAllSubmatch(b, -1) {
		var claims struct {
			Exp float64 `json:"exp"`
		}
		text, err := base64.RawURLEncoding.DecodeString(string(m[1]))
		if err != nil || json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 || claims.Exp > 1e11 {
			continue
		}
		if t := time.Unix(int64(claims.Exp), 0).UTC(); over(t) {
			return t
		}
	}
	return time.Time{}
}

// The parameters of a presigned link, of AWS and of Google Cloud: when it was
// signed, and for how many seconds.
var (
	signedLink = regexp.MustCompile(`[^\s"'<>]*X-(?:Amz|Goog)-Expires=[^\s"'<>]*`)
	signedAt   = regexp.MustCompile(`X-(?:Amz|Goog)-Date=(\d{8}T\d{6}Z)`)
	signedFor  = regexp.MustCompile(`X-(?:Amz|Goog)-Expires=(\d{1,9})`)
)

// linkExpiry is when a presigned link in b expired that is over, zero if there
// is none.
func linkExpiry(b []byte, over func(time.Time) bool) time.Time {
	if !bytes.Contains(b, []byte("-Expires=")) {
		return time.Time{}
	}
	for _, link := range signedLink.FindAll(b, -1) {
		at, length := signedAt.FindSubmatch(link), signedFor.FindSubmatch(link)
		if at == nil || length == nil {
			continue
		}
		signed, err := time.Parse("20060102T150405Z", string(at[1]))
		n, err2 := strconv.Atoi(string(length[1]))
		if t := signed.Add(time.Duration(n) * time.Second); err == nil && err2 == nil && over(t) {
			return t
		}
	}
	return time.Time{}
}
