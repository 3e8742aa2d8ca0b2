package webhooks

import (
	"net/netip"

	"code.dny.dev/ssrf"
)

// Guard tells the addresses that anybody may have us call from those of our own networks. It is asked for every
// connection, when the name has been looked up: that a name meant something else a moment ago is of no use.
type Guard struct{ guardian *ssrf.Guardian }

// NewGuard makes a guard that lets pass what is public, by IANA's registries of special-purpose addresses, and the
// networks of the settings.
func NewGuard(s Settings) (*Guard, error) {
	networks, err := s.prefixes()
	if err != nil {
		return nil, err
	}
	var v4, v6 []netip.Prefix
	for _, p := range networks {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &Guard{ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))}, nil
}

// Address refuses an address that is not to be called.
func (g *Guard) Address(ip netip.Addr) error { return g.guardian.SafeAddr(ip.Unmap().WithZone("")) }
