package certs

import (
	"os"
	"path/filepath"
	"testing"
)

func BenchmarkNewPlan(b *testing.B) {
	ca := newCA(b)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	b.Run("mounts", func(b *testing.B) {
		for b.Loop() {
			if _, err := NewPlan(PlanConfig{CA: ca.PEM(), Env: env, Mounts: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("variables", func(b *testing.B) {
		dir := filepath.Join(b.TempDir(), "certs")
		for b.Loop() {
			p, err := NewPlan(PlanConfig{CA: ca.PEM(), Env: env, Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			if err := p.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkTruststore is what the cache spares: a truststore of 150 roots as a
// JDK brings it, and one under the usual password.
func BenchmarkTruststore(b *testing.B) {
	var ders [][]byte
	for range 150 {
		der, _ := root(b)
		ders = append(ders, der)
	}
	sealed, err := os.ReadFile("testdata/rounds.p12")
	if err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string][]byte{"plain": pkcs12(ders...), "10000-rounds": sealed} {
		for kept, dir := range map[string]string{"read": "", "cached": filepath.Join(b.TempDir(), "serge-net")} {
			b.Run(name+"/"+kept, func(b *testing.B) {
				p := &planner{cache: cache{dir}}
				for b.Loop() {
					if _, err := p.openTruststore(data, ""); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
