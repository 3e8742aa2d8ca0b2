// Package events says where what happens to users and their sessions is published. The store appends events to its
// outbox (internal/outbox), which the relay there publishes. It consumes nothing.
package events

import (
	"souk/contracts"
	kafka "souk/internal/events"
)

// Topics as an environment has them. The events tell of moves, not of states, so all of them are kept, for a week: longer
// than a consumer may be away.
func Topics(env string) []kafka.Topic { return contracts.Topics(env, "users") }
