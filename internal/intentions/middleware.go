package intentions

import (
	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
	"souk/internal/identity"
	"souk/internal/web"
)

// Middleware lets a request in only if the service that its client certificate names
// may call. It asks again for every request, as a connection may outlive a change.
func (c *Callers) Middleware() fiber.Handler {
	return func(f *fiber.Ctx) error {
		cert := web.PeerCertificate(f)
		if cert == nil {
			return errs.New(errs.Unauthenticated, "client-certificate-missing", "Call with the certificate of a Souk service.")
		}
		caller, err := identity.PeerService(cert)
		if err != nil {
			return errs.New(errs.Unauthenticated, "client-certificate-unknown", "The client certificate names no Souk service.").Because(err)
		}
		if !c.Allows(caller) {
			return errs.New(errs.Forbidden, "caller-not-allowed", "Service %s may not call this one: consul-config/service-intentions says who may.", caller)
		}
		return f.Next()
	}
}
