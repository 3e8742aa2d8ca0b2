// Package mail makes messages and hands them over: to an SMTP server, or to a folder where there is none.
package mail

import (
	"context"

	"souk/services/notifications/app"
)

// Post is app.Post: SMTP where a host is set, else files. It may change from one session to the next.
type Post struct {
	Settings    func() Settings
	Credentials *Credentials
	Files       Files
}

// Open implements app.Post.
func (p Post) Open(ctx context.Context) (app.Session, error) {
	s := p.Settings()
	if s.Host == "" {
		return p.Files.open(s.From)
	}
	return dial(ctx, s, p.Credentials)
}
