package identity

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// trustLife: the authorities are read again at two thirds of it.
	trustLife = 6 * time.Minute
	// trustGap is how often an unknown authority may make us ask Vault.
	trustGap = 5 * time.Second
)

// trust holds the root certificates that peers' chains must end in: all of those
// in Vault's PKI mount, so that an old one counts until it is removed there.
type trust struct {
	id     *Identity
	keeper *keeper
	roots  atomic.Pointer[x509.CertPool]

	mu    sync.Mutex // one reader of Vault at a time
	asked time.Time
}

// verify checks a chain, leaf first, up to a root of ours, and that the leaf
// names a service: the wanted one, or any if want is empty.
func (t *trust) verify(ctx context.Context, chain []*x509.Certificate, usage x509.ExtKeyUsage, want string) error {
	if len(chain) == 0 {
		return errors.New("identity: the peer showed no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, ca := range chain[1:] {
		intermediates.AddCert(ca)
	}
	check := func() error {
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: t.roots.Load(), Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{usage}})
		return err
	}
	err := check()
	if unknown := (x509.UnknownAuthorityError{}); errors.As(err, &unknown) && t.refresh(ctx) {
		err = check() // the root was renewed since we looked
	}
	if err != nil {
		return fmt.Errorf("identity: the peer's certificate: %w", err)
	}
	name, err := PeerService(chain[0])
	if err == nil && want != "" && name != want {
		err = fmt.Errorf("identity: the peer is %s, not %s", name, want)
	}
	return err
}

// refresh reads the authorities now, unless that was done moments ago, and
// reports whether it did. Whoever comes meanwhile waits for the same answer.
func (t *trust) refresh(ctx context.Context) bool {
	came := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked.After(came) {
		return true
	}
	if time.Since(t.asked) < trustGap {
		return false
	}
	return t.read(ctx) == nil
}

func (t *trust) renew(ctx context.Context) (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return trustLife, t.read(ctx)
}

// read needs t.mu. These paths of Vault's need no token.
func (t *trust) read(ctx context.Context) error {
	t.asked = time.Now()
	mount := t.id.opts.PKIMount
	list, err := t.id.vault.Logical().ListWithContext(ctx, mount+"/issuers")
	if err != nil {
		return explain(err)
	}
	if list == nil {
		return fmt.Errorf("the mount %s of Vault has no issuer", mount)
	}
	ids, _ := list.Data["keys"].([]any)
	roots := x509.NewCertPool()
	found := 0
	for _, id := range ids {
		secret, err := t.id.vault.Logical().ReadWithContext(ctx, fmt.Sprintf("%s/issuer/%s/json", mount, id))
		if err != nil {
			return explain(err)
		}
		if secret == nil {
			continue // removed since it was listed
		}
		ca, err := parsePEM(secret.Data["certificate"])
		if err != nil {
			return err
		}
		if selfSigned(ca) {
			roots.AddCert(ca)
			found++
		}
	}
	if found == 0 {
		return fmt.Errorf("the mount %s of Vault has no root certificate", mount)
	}
	t.roots.Store(roots)
	return nil
}

func selfSigned(ca *x509.Certificate) bool {
	return ca.IsCA && bytes.Equal(ca.RawSubject, ca.RawIssuer) && ca.CheckSignatureFrom(ca) == nil
}
