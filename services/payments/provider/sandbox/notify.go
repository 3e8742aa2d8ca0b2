package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"souk/internal/logs"
	"souk/services/payments/app"
)

// Run keeps the books and sends webhooks until ctx ends.
func (b *Bank) Run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { b.keep(ctx) })
	both.Go(func() { b.notify(ctx) })
	both.Wait()
}

// idle is how often it looks for webhooks that another instance has left.
const idle = 10 * time.Second

func (b *Bank) notify(ctx context.Context) {
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-b.late:
			wait = b.Late / 4
		case <-time.After(wait):
			due, err := b.due(ctx)
			wait = idle
			if err != nil {
				if ctx.Err() == nil {
					b.Log.WarnContext(ctx, "The sandbox can't read which webhooks are due", logs.Err(err))
				}
				continue
			}
			for _, d := range due {
				if d.at.After(time.Now()) {
					wait = max(min(wait, time.Until(d.at)), 10*time.Millisecond)
					continue
				}
				wait = min(wait, b.Late/4)
				if err := b.send(ctx, d); err != nil && ctx.Err() == nil {
					b.Log.WarnContext(ctx, "A webhook of the sandbox could not be sent; it is tried again", logs.Err(err))
				}
			}
		}
	}
}

type dueNotice struct {
	payment   uuid.UUID
	operation string
	at        time.Time
}

func (b *Bank) due(ctx context.Context) ([]dueNotice, error) {
	rows, err := b.pool.Query(ctx, `SELECT payment, operation, notify_at FROM sandbox_entries WHERE notify_at IS NOT NULL ORDER BY notify_at LIMIT 200`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d dueNotice, err error) {
		return d, row.Scan(&d.payment, &d.operation, &d.at)
	})
}

// send ends the operation in the books and tells of it. Two instances may both tell: a webhook may come twice.
func (b *Bank) send(ctx context.Context, d dueNotice) error {
	var result app.Result
	err := b.again(ctx, func() error {
		books, err := b.read(ctx, []uuid.UUID{d.payment})
		if err != nil {
			return err
		}
		made, r := books[d.payment].finish(d.operation)
		result = r
		if made == nil {
			return nil
		}
		return b.write(ctx, []entry{*made})
	})
	if err == nil {
		err = b.post(ctx, notice{ID: "evt_" + d.operation, Created: time.Now().Unix(), Kind: app.OpAuthorise, Payment: d.payment, Outcome: result.Outcome,
			Reference: result.Reference, Reason: result.Reason})
	}
	again := "NULL"
	if err != nil {
		again = "now() + interval '2 seconds'"
	}
	if _, failed := b.pool.Exec(ctx, "UPDATE sandbox_entries SET notify_at = "+again+" WHERE payment = $1 AND operation = $2 AND notify_at IS NOT NULL",
		d.payment, d.operation); err == nil {
		err = failed
	}
	return err
}

func (b *Bank) post(ctx context.Context, n notice) error {
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	secrets := b.Secrets()
	if len(secrets) == 0 {
		return errNoSecret
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(SignatureHeader, Sign(secrets[0], body, time.Now()))
	response, err := b.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the webhook was answered with %s", response.Status)
	}
	return nil
}
