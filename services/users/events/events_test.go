package events_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/contracts"
	kafka "souk/internal/events"
	"souk/services/users/app"
	"souk/services/users/events"
)

func TestEventsAreAsTheirContractsSay(t *testing.T) {
	id := uuid.New()
	for kind, data := range map[app.EventType]any{
		app.Registered:    app.UserData{UserID: id},
		app.Verified:      app.UserData{UserID: id},
		app.Locked:        app.LockedData{UserID: id, Until: time.Now()},
		app.RolesChanged:  app.RolesData{UserID: id, Roles: []string{app.Customer}},
		app.Erased:        app.UserData{UserID: id},
		app.ReuseDetected: app.ReuseData{UserID: id, SessionID: id, ClientID: "souk"},
		app.MailRequested: app.MailData{MailID: id, Kind: app.MailVerifyEmail},
	} {
		text, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		e := kafka.New(uuid.NewString(), app.Source, string(kind), text)
		e.SetSubject(id.String())
		e.SetDataSchema(kind.Schema())
		if err := contracts.Check(kafka.Message{Topic: app.Topic, Key: id.String(), Event: e}); err != nil {
			t.Error(err)
		}
	}
	if topics := events.Topics("dev"); len(topics) != 1 || topics[0].Name != app.Topic {
		t.Errorf("%+v", topics)
	}
}
