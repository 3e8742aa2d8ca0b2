package mail

import (
	"crypto/tls"
	"crypto/x509"
)

// rooted trusts these authorities alone.
func rooted(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }
