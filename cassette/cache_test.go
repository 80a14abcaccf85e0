package cassette

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCache holds that a large JSON cassette is mounted from a twin the second
// time, as long as both are what they were, and that the cache stays small.
func TestCache(t *testing.T) {
	s, dir := newStore(t)
	s.Cache = filepath.Join(t.TempDir(), "cache")
	var as []asked
	text := strings.Repeat("words in lines\n", 30<<10/15)
	for n := range 300 {
		as = append(as, asked{req: get(fmt.Sprintf("/%d", n)), res: ok("Content-Type: text/plain"), answer: fmt.Sprint(n, text), at: time.Duration(n) * time.Minute})
	}
	as = append(as, asked{req: get("/file"), res: ok("Content-Type: image/png"), answer: "\x00" + text, at: 5 * time.Hour})
	recordAll(t, s, "large", RecordOptions{}, as...)
	mounted := func(want bool) {
		t.Helper()
		c, err := s.Mount("large")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.twin != nil; got != want || c.Len() != len(as) || c.Name != "large" {
			t.Fatalf("from the cache: %v, want %v; %d interactions of %s", got, want, c.Len(), c.Name)
		}
		p := playerOf(t, c, PlayOptions{})
		for _, n := range []int{0, 299, 300} {
			if a := ask(t, p, as[n].req, ""); a.body != as[n].answer {
				t.Errorf("%s is answered with %d bytes", as[n].req.Target, len(a.body))
			}
		}
	}
	mounted(false)
	mounted(true)
	twins, _ := filepath.Glob(filepath.Join(s.Cache, "*"))
	if len(twins) != 1 {
		t.Fatalf("the cache holds %v", twins)
	}
	if err := os.Truncate(twins[0], 5000); err != nil {
		t.Fatal(err)
	}
	mounted(false) // and made anew
	mounted(true)
	crowd(t, s.Cache)
	sum := recordAll(t, s, "large", RecordOptions{Append: true}, asked{req: get("/more"), res: ok(), answer: "more"})
	as = append(as, asked{})
	if !sum.Changed {
		t.Fatal("nothing was appended")
	}
	mounted(false) // it is another file
	mounted(true)
	if twins, _ := filepath.Glob(filepath.Join(s.Cache, "*")); len(twins) != cacheMost {
		t.Errorf("the cache holds %d files; want %d", len(twins), cacheMost)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "large.bodies", "*"))
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Mount("large"); err == nil || !strings.Contains(err.Error(), "its body large.bodies/") {
		t.Errorf("Mount() without a body file = %v", err)
	}
}

// crowd puts as many twins into the cache as it may have, which nobody used lately.
func crowd(t *testing.T, cache string) {
	t.Helper()
	for n := range cacheMost {
		other := filepath.Join(cache, fmt.Sprintf("%064d.smpk", n))
		old := time.Now().Add(-time.Duration(n+1) * time.Hour)
		if err := os.WriteFile(other, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(other, old, old); err != nil {
			t.Fatal(err)
		}
	}
}
