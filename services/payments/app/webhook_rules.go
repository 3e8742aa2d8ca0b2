package app

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// WebhookRules are what a receiver's URL must be like.
type WebhookRules struct {
	AllowHTTP bool                   // for development
	Address   func(netip.Addr) error // refuses addresses that are not for others to have us call; nil refuses none
}

// checkURL says what is wrong with a receiver's URL, "" if nothing is. A host name is looked up, and its addresses
// checked, only when something is sent: they may be others by then.
func (r WebhookRules) checkURL(text string) string {
	const shape = "must be an absolute URL of at most 2048 characters, https://host/path, without user, password or fragment"
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > MaxWebhookURL || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }):
		return shape
	case u.Opaque != "" || u.User != nil || strings.Contains(text, "#") || u.Hostname() == "":
		return shape
	case u.Scheme != "https" && (u.Scheme != "http" || !r.AllowHTTP):
		return "must begin with https://"
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := net.LookupPort("tcp", port); err != nil || n == 0 || fmt.Sprint(n) != port {
			return "must have a port from 1 to 65535, or none"
		}
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && r.Address != nil && r.Address(ip) != nil {
		return "must lead to a public address"
	}
	return ""
}
