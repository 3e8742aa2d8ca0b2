package tokens_test

import (
	"testing"

	"souk/internal/tokens/tokenstest"
)

func BenchmarkSeen(b *testing.B) {
	issuer := tokenstest.New(b)
	v, token := issuer.Verifier(), issuer.User("admin")
	if _, err := v.Verify(b.Context(), token); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(token)))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnseen(b *testing.B) {
	issuer := tokenstest.New(b)
	v := issuer.Verifier()
	batch := make([]string, 20_000)
	for i := range batch {
		batch[i] = issuer.User("admin")
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := v.Verify(b.Context(), batch[i%len(batch)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
