// Package events says where what happens to users and their sessions is published. The store appends events to its
// outbox (internal/outbox), which the relay there publishes. It consumes nothing.
package events

import (
	kafka "souk/internal/events"
	"souk/services/users/app"
)

// Topics as they should be. The events tell of moves, not of states, so all of them are kept, for a week: longer than a
// consumer may be away. partitions 0 is the broker's default, with which a consumer that comes first has them made.
func Topics(partitions int) []kafka.Topic {
	return []kafka.Topic{{Name: app.Topic, Partitions: partitions, Settings: map[string]string{
		"cleanup.policy": "delete", "retention.ms": "604800000",
	}}}
}
