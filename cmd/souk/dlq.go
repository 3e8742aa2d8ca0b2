package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"souk/internal/inbox"
)

// dlqCommand is for events that a consumer could not handle. It works on the service's
// database, with a user that Vault makes for it and ends after it.
func dlqCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay and drop events that a service could not handle",
		Long: `An event that a service can't handle is parked, and so is every later one of its key; other keys
go on. When the cause is mended, replay them: they are handled in their order, and the key is free
when none is left. An event that can't be mended is dropped; what is behind it is then replayed.
A copy of each is on the topic <topic>.<group>.dlq.`,
	}
	var service string
	var f inbox.Filter
	var all bool
	filtered := func(cmd *cobra.Command) *cobra.Command {
		cmd.Flags().StringVar(&f.Group, "group", "", "only of this consumer group")
		cmd.Flags().StringVar(&f.Topic, "topic", "", "only of this topic")
		cmd.Flags().StringVar(&f.Key, "key", "", "only of this key")
		return cmd
	}
	list := filtered(&cobra.Command{
		Use: "list", Short: "List the keys whose events are parked", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return dlqList(cmd.Context(), service, f) },
	})
	list.Flags().StringVar(&service, "service", "", "only of this service")
	show := filtered(&cobra.Command{
		Use: "show <service>", Short: "Show parked events, whole", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return dlqShow(cmd.Context(), args[0], f) },
	})
	replay := filtered(&cobra.Command{
		Use: "replay <service>", Short: "Have parked events handled after all, in their order", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (f == inbox.Filter{}) != all {
				return errors.New("say what to replay with --group, --topic or --key, or --all")
			}
			return dlqReplay(cmd.Context(), args[0], f)
		},
	})
	replay.Flags().BoolVar(&all, "all", false, "everything that is parked")
	var id int64
	drop := &cobra.Command{
		Use: "drop <service> --id N", Short: "Give up a parked event: it is never handled", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withInbox(cmd.Context(), args[0], func(db *pgx.Conn) error { return inbox.Drop(cmd.Context(), db, id) })
		},
	}
	drop.Flags().Int64Var(&id, "id", 0, "of the event, as show gives it")
	_ = drop.MarkFlagRequired("id")
	root.AddCommand(list, show, replay, drop)
	return root
}

func dlqList(ctx context.Context, service string, f inbox.Filter) error {
	services := []string{service}
	if service == "" {
		var err error
		if services, err = servicesWithDatabase(ctx); err != nil {
			return err
		}
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintln(out, "SERVICE\tGROUP\tTOPIC\tKEY\tEVENTS\tSINCE\tERROR")
	for _, s := range services {
		err := withInbox(ctx, s, func(db *pgx.Conn) error {
			keys, err := inbox.List(ctx, db, f)
			for _, k := range keys {
				text := k.Error
				if k.Replaying {
					text = "(being replayed) " + text
				}
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", s, k.Group, k.Topic, printable(k.Key), k.Events, k.Since.Local().Format(time.DateTime), text)
			}
			return err
		})
		if neverRan(err) && service == "" {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// neverRan: the service has no database yet, or one without the inbox's tables.
func neverRan(err error) bool {
	pg := (*pgconn.PgError)(nil)
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3D000") // undefined_table, invalid_catalog_name
}

// withInbox runs f on the database of a service that consumes events.
func withInbox(ctx context.Context, service string, f func(*pgx.Conn) error) error {
	err := withDatabase(ctx, service, f)
	if neverRan(err) {
		return fmt.Errorf("it consumes no events yet: %w", err)
	}
	return err
}

func dlqShow(ctx context.Context, service string, f inbox.Filter) error {
	return withInbox(ctx, service, func(db *pgx.Conn) error {
		parked, err := inbox.Show(ctx, db, f)
		if err != nil {
			return err
		}
		for _, e := range parked {
			why := "waits behind an earlier event of its key"
			if e.Error != "" {
				why = fmt.Sprintf("%s (attempts: %d)", e.Error, e.Attempts)
			}
			fmt.Printf("id %d  %s partition %d offset %d  key %s  parked %s\n%s\n%s\n", e.ID, e.Record.Topic, e.Record.Partition, e.Record.Offset,
				printable(string(e.Record.Key)), e.ParkedAt.Local().Format(time.DateTime), why, e.Text())
		}
		return nil
	})
}

func dlqReplay(ctx context.Context, service string, f inbox.Filter) error {
	return withInbox(ctx, service, func(db *pgx.Conn) error {
		n, err := inbox.Replay(ctx, db, f)
		if err == nil {
			fmt.Printf("%d keys are replayed now; those that fail again stay in the list\n", n)
		}
		return err
	})
}

// printable is a key as it may be typed again, or quoted if it may not.
func printable(key string) string {
	quoted := fmt.Sprintf("%q", key)
	if key == "" || quoted[1:len(quoted)-1] != key {
		return quoted
	}
	return key
}
