package app

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/alexedwards/argon2id"

	"souk/internal/errs"
)

func passwords(t testing.TB, opts PasswordOptions) *Passwords {
	t.Helper()
	p, err := NewPasswords(opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var here = netip.MustParseAddr("192.0.2.1")

func TestPasswordsThatOthersWouldGuessAreRefused(t *testing.T) {
	p := passwords(t, PasswordOptions{})
	const email = "margarethe.blum@example.com"
	for password, say := range map[string]string{
		"":                                 "is required",
		"Tr0ub4dor":                        "at least 10",
		strings.Repeat("kettle moss ", 11): "at most 128",
		strings.Repeat("x", 1<<20):         "at most 128",
		strings.Repeat("\u0301", 600):      "at most 128", // 1,200 bytes
		strings.Repeat("\uFDFA", 20):       "at most 128", // 20 letters that NFKC writes with 18 each
		"kettle \xff moss window":          "UTF-8",
		"password123":                      "tried first",
		"P@ssw0rd2024":                     "tried first",
		"!!Football99":                     "tried first",
		"ｐａｓｓｗｏｒｄ１２３":                      "tried first", // full-width letters
		"monkeymonkey":                     "tried first",
		"Christopher1!":                    "tried first",
		"qwertyuiop12":                     "tried first",
		"Iloveyou2021":                     "tried first",
		"1q2w3e4r5t6y":                     "tried first",
		"aaaaaaaaaaaa":                     "easy to guess",
		"abcdefghijklmnop":                 "easy to guess",
		"12/05/1987":                       "easy to guess",
		"souksouksouk":                     "easy to guess",
		"x Margarethe.Blum y":              "name in your e-mail",
		strings.Repeat("1", 120):           "easy to guess",
		strings.Repeat("p@$$w0rd", 16):     "easy to guess",
		"asdfghjkl;'asdfghjkl;'":           "easy to guess",
	} {
		err := p.Check(password, email)
		var e *errs.Error
		if !errors.As(err, &e) || e.Kind != errs.Unprocessable || e.Code != "weak-password" || len(e.Fields) != 1 || !strings.Contains(e.Fields[0].Detail, say) {
			t.Errorf("%.40q: %v, want %q", password, err, say)
		}
		if err != nil && len(password) > 4 && strings.Contains(err.Error(), password) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	for _, password := range []string{
		"kettle moss window", "correct kettle 7 staple", "t7!Kq9z#Lw", "mein Rad ist grün", "пурпурный чайник", "紫色茶壺窗戶苔蘚月亮", strings.Repeat("kettle moss ", 11)[:128], "🦊🎻🌵🧵🛶🪁🧊🪴🎡🧲",
	} {
		if err := p.Check(password, email); err != nil {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestAListOfOnesOwnCounts(t *testing.T) {
	const leaked = "kettle moss window"
	var file strings.Builder
	if _, err := NewCommonPasswords([]string{leaked, "other"}).WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	list, err := ReadCommonPasswords(strings.NewReader(file.String()))
	if err != nil || list.Len() != 1 {
		t.Fatal(list.Len(), err)
	}
	if err := passwords(t, PasswordOptions{CommonEntries: []CommonPasswords{list}}).Check("Kettle Moss Window!", ""); errs.CodeOf(err) != "weak-password" {
		t.Error(err)
	}
	for _, bad := range []string{"abc", "bbbbaaaa", "aaaaaaaa", "aaaabbbbc"} {
		if _, err := ReadCommonPasswords(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken for a list", bad)
		}
	}
}

func TestAPasswordIsTheSameFromEveryKeyboard(t *testing.T) {
	p := passwords(t, PasswordOptions{})
	hash, err := p.Hash(t.Context(), here, "Caf\u00e9 ﬁnch ½ window")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{
		"Caf\u00e9 ﬁnch ½ window":        true,
		"Cafe\u0301 finch 1⁄2 window":    true,
		"Ｃａｆé finch ½ window":            true,
		"Cafe finch ½ window":            false,
		"café ﬁnch ½ window":             false,
		"":                               false,
		strings.Repeat("x", 1<<20):       false,
		"Caf\u00e9 ﬁnch ½ window\x00":    false,
		"Caf\xe9 \xef\xac\x81nch window": false,
	} {
		ok, rehash, err := p.Verify(t.Context(), here, password, hash)
		if err != nil || ok != want || rehash {
			t.Errorf("%.40q: %v %v %v", password, ok, rehash, err)
		}
	}
	if err := p.VerifyNothing(t.Context(), here, ""); err != nil {
		t.Error(err)
	}
	if _, err := p.Hash(t.Context(), here, strings.Repeat("x", 1<<20)); errs.CodeOf(err) != "weak-password" {
		t.Error(err)
	}
	if _, _, err := p.Verify(t.Context(), here, "x", "no hash"); err == nil {
		t.Error("a broken hash goes unnoticed")
	}
}

func TestAnOldHashIsMadeAnewAtLogin(t *testing.T) {
	old, err := argon2id.CreateHash("kettle moss window", &argon2id.Params{Memory: 8 << 10, Iterations: 1, Parallelism: 2, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	p := passwords(t, PasswordOptions{})
	if ok, rehash, err := p.Verify(t.Context(), here, "kettle moss window", old); !ok || !rehash || err != nil {
		t.Error(ok, rehash, err)
	}
	if ok, rehash, err := p.Verify(t.Context(), here, "kettle moss windov", old); ok || rehash || err != nil {
		t.Error(ok, rehash, err)
	}
}

func TestAFloodFromOneAddressKeepsNobodyElseOut(t *testing.T) {
	p := passwords(t, PasswordOptions{Slots: 1, Queue: 8, QueuePerPeer: 6})
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for range 20 {
		flood.Go(func() {
			for ctx.Err() == nil {
				_ = p.VerifyNothing(ctx, here, "x")
			}
		})
	}
	for i := range 10 {
		if err := p.VerifyNothing(t.Context(), netip.MustParseAddr("2001:db8::1"), "y"); err != nil {
			t.Errorf("login %d: %v", i, err)
		}
		if s := p.Stats(); s.Running > 1 || s.Waiting > 8 {
			t.Errorf("%+v", s)
		}
	}
	stop()
	flood.Wait()
	if s := p.Stats(); s.Refused == 0 || s.Running != 0 || s.Waiting != 0 {
		t.Errorf("at the end: %+v", s)
	}
}

func BenchmarkVerify(b *testing.B) {
	p := passwords(b, PasswordOptions{})
	for b.Loop() {
		if err := p.VerifyNothing(b.Context(), here, "kettle moss window"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyInParallel(b *testing.B) {
	p := passwords(b, PasswordOptions{})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.VerifyNothing(b.Context(), here, "kettle moss window"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	p := passwords(b, PasswordOptions{})
	for name, password := range map[string]string{
		"usual":  "kettle moss window",
		"digits": strings.Repeat("1234567890", 13)[:128],
		"leet":   strings.Repeat("4@8({[<3691!|70$5+%2", 7)[:128],
		"words":  strings.Repeat("thelovemanpassword", 8)[:128],
		"same":   strings.Repeat("a", 128),
		"wide":   strings.Repeat("ｐ＠＄＄ｗ０ｒｄ", 16),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = p.Check(password, "margarethe.blum@example.com")
			}
		})
	}
}
