package app

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"souk/internal/errs"
)

// reading is how something stands that a request has made or moved: final, or the provider is being asked.
type reading func(ctx context.Context, id uuid.UUID) (a Answer, err error)

func (p *Payments) readIntent(ctx context.Context, id uuid.UUID) (Answer, error) {
	i, err := p.store.Intent(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(i.View())
	return Answer{ID: id, Version: i.Version, Body: body, Final: !i.Status.Asking()}, err
}

func (p *Payments) readRefund(ctx context.Context, id uuid.UUID) (Answer, error) {
	r, err := p.store.Refund(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	body, err := json.Marshal(r.View())
	return Answer{ID: id, Body: body, Final: r.Status != RefundPending}, err
}

// do makes a move of an intent, once for a request with a key, hands what it begins to the worker and waits for how it
// ends. A request that comes again gets the answer of the first, or errs.IdempotencyInFlight while that is awaited.
func (p *Payments) do(ctx context.Context, once *Once, intent uuid.UUID, sel Selection, f func(*Set) (uuid.UUID, error), read reading) (Answer, error) {
	changed, stop := p.hub.listen(intent)
	defer stop()
	var set *Set
	var kept *Kept
	var id uuid.UUID
	var err error
	if once != nil {
		set, kept, err = p.store.ChangeOnce(ctx, *once, sel, func(s *Set) (uuid.UUID, error) {
			id, err = f(s)
			return id, err
		})
	} else {
		set, err = p.store.Change(ctx, sel, func(s *Set) error {
			id, err = f(s)
			return err
		})
	}
	switch {
	case err != nil:
		return Answer{}, err
	case kept != nil && kept.Final:
		return replay(kept.Body)
	case kept != nil:
		return p.left(ctx, *once, kept.ID, read)
	}
	p.worker.Submit(set.Operations())
	a, err := p.await(ctx, id, changed, read)
	if err == nil && a.Final && once != nil {
		err = p.store.Answer(ctx, *once, a.Body)
	}
	return a, err
}

// replay is a body that was the answer before.
func replay(body []byte) (Answer, error) {
	var known struct {
		ID      uuid.UUID `json:"id"`
		Version int64     `json:"version"`
	}
	err := json.Unmarshal(body, &known)
	return Answer{ID: known.ID, Version: known.Version, Body: body, Final: true, Replayed: true}, err
}

// left answers for an earlier request that has no final answer yet: the provider is still asked, or its instance died.
func (p *Payments) left(ctx context.Context, once Once, id uuid.UUID, read reading) (Answer, error) {
	a, err := read(ctx, id)
	switch {
	case err != nil:
		return Answer{}, err
	case !a.Final:
		return Answer{}, errs.IdempotencyInFlight()
	}
	a.Replayed = true
	return a, p.store.Answer(ctx, once, a.Body)
}

// await reads until the answer is final, or it has taken long enough.
func (p *Payments) await(ctx context.Context, id uuid.UUID, changed <-chan struct{}, read reading) (Answer, error) {
	waiting, cancel := context.WithTimeout(ctx, p.Wait)
	defer cancel()
	tick := time.NewTicker(p.Again)
	defer tick.Stop()
	for {
		a, err := read(ctx, id)
		if err != nil && errors.Is(err, context.DeadlineExceeded) || err == nil && a.Final || waiting.Err() != nil {
			return a, err
		}
		select {
		case <-waiting.Done():
		case <-changed:
		case <-tick.C:
		}
	}
}
