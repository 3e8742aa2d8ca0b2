package chaos

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestReconcileNamesAPieceThatWasSoldToNobody: a report that can't find anything would be worth nothing.
func TestReconcileNamesAPieceThatWasSoldToNobody(t *testing.T) {
	s := up(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shop := newShop(s.GatewayURL())
	g, err := newGoods(ctx, s, shop, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := deliver(ctx, s, shop, g); err != nil {
		t.Fatal(err)
	}
	move := func(ctx context.Context, n int) {
		t.Helper()
		err := s.with(ctx, "inventory", func(db *pgx.Conn) error {
			_, err := db.Exec(ctx, `UPDATE stock SET available = available - $2, sold = sold + $2 WHERE sku = $1`, g.sku, n)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	move(ctx, 1)
	t.Cleanup(func() { move(context.Background(), -1) })
	out, err := s.Souk(ctx, "reconcile")
	if err == nil || !strings.Contains(out, "stock-level") || !strings.Contains(out, g.sku) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = s.Souk(ctx, "reconcile", "--json"); err == nil || !strings.Contains(out, `"sku": "`+g.sku+`"`) {
		t.Errorf("as JSON: %v: %s", err, out)
	}
}
