package main

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// pageSize is how many rows of each service are held at once.
const pageSize = 500

// row of one of the books.
type row interface {
	key() uuid.UUID
	changed() time.Time
}

// pages walks through a service's rows in the order of their keys, a page at a time.
type pages[R row] struct {
	service *service
	page    []R
	next    string // after which the next page begins
	last    uuid.UUID
	ended   bool
}

// walk begins at the first row.
func walk[R row](s *service) *pages[R] { return &pages[R]{service: s} }

// peek is the key of the next row; false: there is none.
func (p *pages[R]) peek(ctx context.Context) (uuid.UUID, bool, error) {
	for len(p.page) == 0 {
		if p.ended {
			return uuid.Nil, false, nil
		}
		if err := p.fetch(ctx); err != nil {
			return uuid.Nil, false, err
		}
	}
	return p.page[0].key(), true, nil
}

// take returns the rows that have the key and steps over them: one, if the service's books are in order.
func (p *pages[R]) take(ctx context.Context, key uuid.UUID) (rows []R, err error) {
	for {
		next, more, err := p.peek(ctx)
		if err != nil || !more || next != key {
			return rows, err
		}
		rows = append(rows, p.page[0])
		p.page = p.page[1:]
	}
}

func (p *pages[R]) fetch(ctx context.Context) error {
	var answer struct {
		Items []R    `json:"items"`
		Next  string `json:"next"`
	}
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if p.next != "" {
		query.Set("after", p.next)
	}
	if err := p.service.get(ctx, "/internal/reconciliation?"+query.Encode(), &answer); err != nil {
		return err
	}
	// Rows out of their order would be taken for missing ones, and a page that leads back for an endless book.
	for _, r := range answer.Items {
		if key := r.key(); bytes.Compare(key[:], p.last[:]) < 0 {
			return fmt.Errorf("%s tells of %s after %s: its rows are not in order", p.service.name, key, p.last)
		}
		p.last = r.key()
	}
	if answer.Next != "" && (answer.Next == p.next || len(answer.Items) == 0) {
		return fmt.Errorf("the page of %s after %q leads nowhere", p.service.name, p.next)
	}
	p.page, p.next, p.ended = answer.Items, answer.Next, answer.Next == ""
	return nil
}
