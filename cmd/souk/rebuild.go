package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

// rebuildLimit is long enough for millions of orders.
const rebuildLimit = time.Hour

func rebuildCommand() *cobra.Command {
	root := &cobra.Command{Use: "rebuild", Short: "Make a projection anew from its events, while the service serves"}
	root.AddCommand(&cobra.Command{
		Use:   "orders",
		Short: "Make the table of orders what the orders' events say",
		Long: `rebuild orders asks the service orders to compare each order with its events, a hundred at a time, and to mend
what differs; customers notice nothing. It may be interrupted: the service goes on, also after a crash.
A healthy table has nothing to mend.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := runningApp(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), rebuildLimit)
			defer cancel()
			return withDatabase(ctx, "orders", func(db *pgx.Conn) error { return rebuildOrders(ctx, db) })
		},
	})
	return root
}

// rebuildOrders makes a request, on which an instance of orders works, and watches it.
func rebuildOrders(ctx context.Context, db *pgx.Conn) error {
	var id int64
	if err := db.QueryRow(ctx, `INSERT INTO order_rebuilds DEFAULT VALUES RETURNING id`).Scan(&id); err != nil {
		return fmt.Errorf("ask for a rebuild: %w", err)
	}
	said := time.Now()
	for {
		var looked, mended int64
		var finished *time.Time
		err := db.QueryRow(ctx, `SELECT orders, mended, finished_at FROM order_rebuilds WHERE id = $1`, id).Scan(&looked, &mended, &finished)
		if err != nil {
			return fmt.Errorf("watch the rebuild %d: %w", id, err)
		}
		if finished != nil {
			fmt.Printf("looked at %d orders, mended %d\n", looked, mended)
			return nil
		}
		if time.Since(said) > 5*time.Second {
			fmt.Fprintf(os.Stderr, "  %d orders so far, %d mended\n", looked, mended)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the rebuild %d goes on by itself: %w", id, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
