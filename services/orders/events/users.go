package events

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	kafka "souk/internal/events"
)

// UsersTopic tells of erased users: key user id.
const UsersTopic = "users.events.v1"

const userErased = "souk.users.user.erased.v1"

// UserErased reads whose data is to be deleted; is tells whether the event says so at all.
func UserErased(m kafka.Message) (user uuid.UUID, is bool, err error) {
	if m.Event.Type() != userErased {
		return uuid.Nil, false, nil
	}
	var data struct {
		UserID uuid.UUID `json:"user_id"`
	}
	err = json.Unmarshal(m.Event.Data(), &data)
	if err == nil && data.UserID == uuid.Nil {
		err = fmt.Errorf("%s: user_id is missing", userErased)
	}
	return data.UserID, true, err
}
