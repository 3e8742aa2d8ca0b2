package web

import (
	"crypto/x509"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

// PeerCertificate is the client's certificate, which the TLS handshake has
// verified; nil without TLS or when none was sent.
func PeerCertificate(c *fiber.Ctx) *x509.Certificate {
	return peerCertificate(c.Context())
}

func peerCertificate(fctx *fasthttp.RequestCtx) *x509.Certificate {
	if state := fctx.TLSConnectionState(); state != nil && len(state.PeerCertificates) > 0 {
		return state.PeerCertificates[0]
	}
	return nil
}

// peerName is the certificate's SPIFFE name, else its first DNS name.
func peerName(cert *x509.Certificate) string {
	switch {
	case len(cert.URIs) > 0:
		return cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	}
	return cert.Subject.CommonName
}

// ClientIP is the address of the client: of the connection's other end, or with
// Options.TrustForwarded the last address in X-Forwarded-For, which is the one
// that our own proxy wrote (those before it are the client's word).
func ClientIP(c *fiber.Ctx) netip.Addr {
	return clientIP(c.Context(), requestOf(c.Context()))
}

func clientIP(fctx *fasthttp.RequestCtx, r *request) netip.Addr {
	if r != nil && r.server.opts.TrustForwarded {
		if all := fctx.Request.Header.PeekAll(fiber.HeaderXForwardedFor); len(all) > 0 {
			last := string(all[len(all)-1])
			last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
			if addr, err := netip.ParseAddr(last); err == nil && addr.Zone() == "" {
				return addr.Unmap()
			}
		}
	}
	addr, _ := netip.AddrFromSlice(fctx.RemoteIP())
	return addr.Unmap()
}

// Scheme is "https" or "http", as the client sees it: X-Forwarded-Proto counts
// with Options.TrustForwarded only.
func Scheme(c *fiber.Ctx) string {
	r := requestOf(c.Context())
	if r != nil && r.server.opts.TrustForwarded {
		switch proto := c.Get(fiber.HeaderXForwardedProto); proto {
		case "http", "https":
			return proto
		}
	}
	if c.Context().IsTLS() {
		return "https"
	}
	return "http"
}
