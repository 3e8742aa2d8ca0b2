package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Buy something as a new customer, be declined once, cancel, and see what the shop does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := runningApp()
			if err != nil {
				return err
			}
			return a.demo(cmd.Context())
		},
	}
}

// demoPieces are bought by the demonstration, and are in stock again at its end.
const demoPieces = 2

// demo leaves stock and money as they were, and its customer leaves the shop at the end; the orders stay.
func (a *app) demo(ctx context.Context) error {
	began := time.Now()
	step := func(format string, args ...any) {
		a.say("  %7s  %s", time.Since(began).Round(time.Millisecond), fmt.Sprintf(format, args...))
	}
	a.say("A customer's way through the shop:")
	guest := a.shopAs("")
	sku, err := guest.inStock(ctx, demoPieces)
	if err != nil {
		return err
	}
	before, err := guest.available(ctx, sku)
	if err != nil {
		return err
	}
	var cart basket
	if err := guest.call(ctx, http.MethodPost, "/v1/carts", cartOf(sku), &cart); err != nil {
		return err
	}
	step("a guest puts %d × %s into a cart: %s; %d are in stock", demoPieces, cart.Items[0].Name, cart.Total, before)

	customer, err := a.demoCustomer(ctx, step)
	if err != nil {
		return err
	}
	if err := customer.call(ctx, http.MethodPost, "/v1/carts/"+cart.ID+"/merge", struct{}{}, &cart, "Cart-Token", cart.Token); err != nil {
		return err
	}
	step("logged in; the guest's cart is now the customer's")
	tell := func(o purchase, after int64) (purchase, int64, error) {
		last, currency := after, o.Total.Currency
		o, err := customer.follow(ctx, o.ID, after, func(c chapter) {
			last = c.Version
			step("  %s", c.of(currency))
		})
		return o, last, err
	}
	o, err := customer.order(ctx, cart, "pm_sandbox_approve")
	if err != nil {
		return err
	}
	step("ordered: %s, followed live:", o.Number)
	o, last, err := tell(o, 0)
	if err != nil {
		return err
	}
	if o.Status != "confirmed" {
		return fmt.Errorf("order %s is %s: %s", o.Number, o.Status, o.Reason)
	}
	left, err := guest.available(ctx, sku)
	if err != nil {
		return err
	}
	step("order %s is %s: stock %s, payment %s, %s; %d are left", o.Number, o.Status, o.Stock, o.Payment, o.Total, left)
	if err := a.demoDeclined(ctx, customer, sku, step, tell); err != nil {
		return err
	}
	if err := customer.call(ctx, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", map[string]string{"reason": "changed_mind"}, nil); err != nil {
		return err
	}
	step("the customer cancels %s:", o.Number)
	if o, _, err = tell(o, last); err != nil {
		return err
	}
	if left, err = guest.available(ctx, sku); err != nil {
		return err
	}
	step("order %s is %s: %s paid back; %d are in stock", o.Number, o.Status, o.Refunded, left)
	if err := customer.call(ctx, http.MethodDelete, "/v1/users/me", nil, nil); err != nil {
		return err
	}
	step("left the shop: all personal data is erased, the session is over")
	return nil
}

func cartOf(sku string) map[string]any {
	return map[string]any{"items": []map[string]any{{"sku": sku, "quantity": demoPieces}}}
}

// demoCustomer registers somebody, follows the link in the e-mail, and logs in.
func (a *app) demoCustomer(ctx context.Context, step func(string, ...any)) (shop, error) {
	email, password := fmt.Sprintf("visitor-%s@example.com", strings.ToLower(rand.Text()[:8])), rand.Text()
	if err := a.register(ctx, email, password, "Val Visitor"); err != nil {
		return shop{}, err
	}
	step("%s registered and followed the link in the e-mail", email)
	t, err := a.logIn(ctx, email, password)
	return a.shopAs(t.Access), err
}

// demoDeclined orders with a card that is refused.
func (a *app) demoDeclined(ctx context.Context, customer shop, sku string, step func(string, ...any), tell func(purchase, int64) (purchase, int64, error)) error {
	var cart basket
	if err := customer.call(ctx, http.MethodPost, "/v1/carts", cartOf(sku), &cart); err != nil {
		return err
	}
	o, err := customer.order(ctx, cart, "pm_sandbox_decline")
	if err != nil {
		return err
	}
	step("ordered once more, with a card that is declined: %s", o.Number)
	o, _, err = tell(o, 0)
	if err == nil {
		step("order %s is %s: stock %s, payment %s", o.Number, o.Status, o.Stock, o.Payment)
	}
	return err
}
