package seed

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// parallel is how many requests are under way at once.
const parallel = 4

// Apply puts a catalogue into the shop: what is missing is created, products as
// active ones, and what is there stays as it is, whatever was done to it since. It can
// be interrupted and run again, or run twice at once: in the end everything is there
// once.
//
// A product is there if any, draft and archived ones included, has its slug or one of
// its SKUs; a category, if any has its slug. A category is made only for products that
// are missing, so one that was renamed does not come back empty; and nothing is put
// into a category that somebody archived.
//
// progress, which may be nil, is called after every object, one call at a time, until
// done is total. Requests that fail for reasons that pass (no connection, 429, 502,
// 503, 504) are repeated for half a minute each; the first that fails for good ends
// Apply. Beside an error, the Result has what was answered until then.
func Apply(ctx context.Context, c Client, catalogue Catalogue, progress func(done, total int)) (Result, error) {
	a, err := c.open()
	if err != nil {
		return Result{}, err
	}
	if c.HTTP == nil {
		defer a.http.CloseIdleConnections()
	}
	s := &seeding{api: a, progress: progress, open: map[string]string{}, total: len(catalogue.Products)}
	for range catalogue.categories() {
		s.total++
	}
	if err := s.run(ctx, catalogue); err != nil {
		return s.result, fmt.Errorf("after %d of %d categories and products: %w", s.done, s.total, err)
	}
	return s.result, nil
}

// seeding is one call of Apply.
type seeding struct {
	*api
	progress func(done, total int)
	total    int
	open     map[string]string // slug of a category that is not archived: its id

	mu     sync.Mutex
	done   int
	result Result
}

// count notes what became of n objects in one of the result's numbers.
func (s *seeding) count(number *int, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		*number++
		s.done++
		if s.progress != nil {
			s.progress(s.done, s.total)
		}
	}
}

func (s *seeding) run(ctx context.Context, catalogue Catalogue) error {
	there, err := s.look(ctx, catalogue)
	if err != nil {
		return err
	}
	var missing []Product
	needed := map[string]bool{}
	for _, p := range catalogue.Products {
		if !there.has(p) {
			missing = append(missing, p)
			needed[p.Category] = true
		}
	}
	s.count(&s.result.There, len(catalogue.Products)-len(missing))
	if err := s.grow(ctx, catalogue, there.categories, needed); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, p := range missing {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return s.product(ctx, p)
		})
	}
	return g.Wait()
}

// grow makes the categories that are needed, one after the other so that siblings keep
// their order.
func (s *seeding) grow(ctx context.Context, catalogue Catalogue, there map[string]category, needed map[string]bool) error {
	for parent, c := range catalogue.categories() {
		known, found := there[c.Slug]
		_, parentOpen := s.open[parent]
		switch {
		case found:
			s.count(&s.result.There, 1)
		case !needs(c, needed), parent != "" && !parentOpen:
			s.count(&s.result.Skipped, 1)
			continue
		default:
			var err error
			if known, err = s.category(ctx, parent, c); err != nil {
				return fmt.Errorf("create category %s: %w", c.Slug, err)
			}
		}
		if known.Status == active {
			s.open[c.Slug] = known.ID
		}
	}
	return nil
}

// needs reports whether a category or one below it is needed.
func needs(c Category, needed map[string]bool) bool {
	if needed[c.Slug] {
		return true
	}
	for _, child := range c.Children {
		if needs(child, needed) {
			return true
		}
	}
	return false
}

// category creates one, or finds the one that was created meanwhile.
func (s *seeding) category(ctx context.Context, parent string, c Category) (category, error) {
	in := newCategory{Slug: c.Slug, Name: c.Name}
	if parent != "" {
		in.ParentID = s.open[parent]
	}
	var made category
	replayed, err := s.create(ctx, categoriesPath, "category", c.Slug, in, &made)
	if isTaken(err, "slug-taken") {
		replayed = true
		err = s.get(ctx, categoriesPath+"/"+c.Slug, nil, &made)
	}
	switch {
	case err != nil:
		return category{}, err
	case made.ID == "":
		return category{}, errors.New("the answer has no id")
	case replayed:
		s.count(&s.result.There, 1)
	default:
		s.count(&s.result.Categories, 1)
	}
	return made, nil
}

func (s *seeding) product(ctx context.Context, p Product) error {
	id, open := s.open[p.Category]
	if !open {
		s.count(&s.result.Skipped, 1)
		return nil
	}
	var made struct{}
	replayed, err := s.create(ctx, productsPath, "product", p.Slug, newProductFrom(p, id), &made)
	switch {
	case replayed, isTaken(err, "slug-taken", "sku-taken"):
		s.count(&s.result.There, 1)
	case err != nil:
		return fmt.Errorf("create product %s: %w", p.Slug, err)
	default:
		s.count(&s.result.Products, 1)
	}
	return nil
}
