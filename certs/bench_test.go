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
