package store

import (
	"context"

	"github.com/google/uuid"

	"souk/internal/postgres"
	"souk/services/orders/app"
)

// followedAtOnce bounds the events of one look; what is left comes with the next.
const followedAtOnce = 2000

// EventsAfter implements app.Follower.
func (s *Store) EventsAfter(ctx context.Context, after map[uuid.UUID]int64) (events []app.Event, err error) {
	ids, versions := make([]uuid.UUID, 0, len(after)), make([]int64, 0, len(after))
	for id, version := range after {
		ids, versions = append(ids, id), append(versions, version)
	}
	err = postgres.Read(ctx, s.pool, func(q postgres.Querier) error {
		events, err = history(ctx, q, `JOIN unnest($1::uuid[], $2::bigint[]) AS w(id, version) ON e.stream_id = w.id AND e.version > w.version
			ORDER BY e.stream_id, e.version LIMIT $3`, ids, versions, followedAtOnce)
		return err
	})
	return events, err
}
