package store

import (
	"context"
	"net/http"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// Answered implements app.OrderStore.
func (s *Store) Answered(ctx context.Context, once app.Once) (app.Answer, bool, error) {
	reply, err := key(once).Answered(ctx, s.pool)
	if err != nil || reply == nil {
		return app.Answer{}, false, err
	}
	return answerOf(*reply), true, nil
}

// key is the Idempotency-Key as the kit has it.
func key(once app.Once) postgres.IdempotencyKey {
	return postgres.IdempotencyKey{Principal: once.Principal, Route: once.Route, Key: once.Key, Fingerprint: once.Fingerprint}
}

// replyOf is the answer to a placement as the kit has it; answerOf makes it an answer again.
func replyOf(a app.Answer) postgres.Reply {
	return postgres.Reply{Status: http.StatusAccepted, Header: map[string]string{"Location": a.Location}, Body: a.Body}
}

func answerOf(r postgres.Reply) app.Answer {
	return app.Answer{Location: r.Header["Location"], Body: r.Body}
}
