package app

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"
)

// hashing are argon2id's parameters for new hashes: OWASP's minimum, which one core computes some 30 to 50 times a second.
var hashing = argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// PasswordOptions bound the work of hashing. A zero field means its default.
type PasswordOptions struct {
	Slots         int               // hashes computed at once, 19 MiB of memory each; default GOMAXPROCS
	Queue         int               // requests that may wait for a slot; default 64 for each slot, some 2 s of work
	QueuePerPeer  int               // of them, from one address (one /64 of IPv6); default an eighth of Queue
	CommonEntries []CommonPasswords // lists beside the one that is built in
}

// Passwords checks, hashes and verifies passwords. Its methods may be called at once from many goroutines; how many of them
// hash at a time is bounded, and every address gets its turn.
type Passwords struct {
	slots  *slots
	common []CommonPasswords
	dummy  string // a hash that no password has
	hashed atomic.Int64
	spent  atomic.Int64 // nanoseconds within argon2id
}

// NewPasswords makes a Passwords. It computes one hash.
func NewPasswords(opts PasswordOptions) (*Passwords, error) {
	if opts.Slots <= 0 {
		opts.Slots = runtime.GOMAXPROCS(0)
	}
	if opts.Queue <= 0 {
		opts.Queue = 64 * opts.Slots
	}
	if opts.QueuePerPeer <= 0 {
		opts.QueuePerPeer = max(1, opts.Queue/8)
	}
	p := &Passwords{slots: newSlots(opts.Slots, opts.Queue, opts.QueuePerPeer)}
	builtIn, err := builtInCommonPasswords()
	if err != nil {
		return nil, err
	}
	p.common = append([]CommonPasswords{builtIn}, opts.CommonEntries...)
	if p.dummy, err = argon2id.CreateHash("", &hashing); err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	return p, nil
}

// Hash gives the hash to store, in the form of argon2's reference implementation ($argon2id$v=19$m=19456,t=2,p=1$…). It waits
// for a slot; from is the client's address, or the zero Addr, which has a place of its own. Errors: errs.Unavailable too-busy, or ctx's. The password should have passed Check.
func (p *Passwords) Hash(ctx context.Context, from netip.Addr, password string) (hash string, err error) {
	normal, ok := normalise(password)
	if !ok {
		return "", weak(tooLong)
	}
	err = p.work(ctx, from, func() error {
		hash, err = argon2id.CreateHash(normal, &hashing)
		return err
	})
	return hash, err
}

// Verify reports whether the hash is the password's, and whether the password should be hashed anew because the parameters have
// changed since. For a password that is too long to be one it does the same work and says no. It waits for a slot. Errors: errs.Unavailable too-busy, ctx's, or that the hash is none.
func (p *Passwords) Verify(ctx context.Context, from netip.Addr, password, hash string) (ok, rehash bool, err error) {
	normal, possible := normalise(password)
	err = p.work(ctx, from, func() error {
		match, params, err := argon2id.CheckHash(normal, hash)
		if err != nil {
			return fmt.Errorf("verify a password: %w", err)
		}
		ok = match && possible
		rehash = ok && *params != hashing
		return nil
	})
	return ok, rehash, err
}

// VerifyNothing does the work of Verify for an account that does not exist, so that the time tells nothing.
func (p *Passwords) VerifyNothing(ctx context.Context, from netip.Addr, password string) error {
	_, _, err := p.Verify(ctx, from, password, p.dummy)
	return err
}

func (p *Passwords) work(ctx context.Context, from netip.Addr, hash func() error) error {
	release, err := p.slots.acquire(ctx, from)
	if err != nil {
		return err
	}
	defer release()
	began := time.Now()
	err = hash()
	p.spent.Add(int64(time.Since(began)))
	p.hashed.Add(1)
	return err
}

// maxRaw is what a password may have in bytes, as it was sent: with combining characters, 128 characters of most scripts.
const maxRaw = 1 << 10

// normalise gives the password in Unicode's form NFKC, in which keyboards that compose ä, or send ｗｉｄｅ letters, make no
// difference (NIST SP 800-63B, section 3.1.1.2); false if it is too long to be one.
func normalise(password string) (string, bool) {
	if len(password) > maxRaw {
		return "", false
	}
	return norm.NFKC.String(strings.ToValidUTF8(password, "\uFFFD")), true
}

// PasswordStats are figures of hashing since the start.
type PasswordStats struct {
	Hashes  int64         // computed
	Spent   time.Duration // within argon2id, over all slots
	Running int           // at this moment
	Waiting int           // at this moment
	Refused int64         // too-busy
}

// Stats are the figures of this moment.
func (p *Passwords) Stats() PasswordStats {
	s := PasswordStats{Hashes: p.hashed.Load(), Spent: time.Duration(p.spent.Load())}
	s.Running, s.Waiting, s.Refused = p.slots.figures()
	return s
}
