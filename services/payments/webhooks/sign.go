package webhooks

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// sign makes the headers of a delivery. Each secret signs it, so that a receiver may know the newest already or one
// before it still.
func sign(id uuid.UUID, at time.Time, body []byte, secrets []string) (http.Header, error) {
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		w, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, err
		}
		signature, err := w.Sign(id.String(), at, body)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, signature)
	}
	h := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Souk-Webhooks/1"}}
	h.Set(standardwebhooks.HeaderWebhookID, id.String())
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return h, nil
}
