package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func benchOrdersCommand() *cobra.Command {
	var o orderLoad
	cmd := &cobra.Command{
		Use:   "orders",
		Short: "Place orders at a fixed rate and show latencies, what becomes of them, and the CPU time that each takes",
		Long: `orders places orders through the gateway at a fixed rate whatever the answers take (an open model): each is a
cart with one to three lines, and the order of it, by one of several customers. It waits until every order has come
to its end, and reads from the orders' own database how long each took to be confirmed. The CPU time is that of all
processes of this instance, from the first order until the last has come to its end; the load generator's own is
apart. Products and customers are made for the run; afterwards the products are archived and the customers erased.
It only speaks to loopback.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.rate < 1 || o.rate > benchMaxRate || o.duration < time.Second || o.duration > maxOrderLoad {
				return fmt.Errorf("give --rate 1 to %d and --duration 1s to %s", benchMaxRate, maxOrderLoad)
			}
			a, err := runningApp()
			if err != nil {
				return err
			}
			return a.benchOrders(cmd.Context(), o)
		},
	}
	cmd.Flags().IntVar(&o.rate, "rate", 200, "orders a second")
	cmd.Flags().DurationVar(&o.duration, "duration", time.Minute, "how long")
	cmd.Flags().DurationVar(&o.warmUp, "warm-up", 5*time.Second, "how long at the same rate before, unmeasured")
	return cmd
}

// maxOrderLoad is how long a run may be.
const maxOrderLoad = 15 * time.Minute

// orderLoad is what `souk bench orders` is asked for.
type orderLoad struct {
	rate             int
	duration, warmUp time.Duration
}

// settleLimit is how long orders may take to come to their end after the last was placed.
const settleLimit = 60 * time.Second

func (a *app) benchOrders(ctx context.Context, o orderLoad) (err error) {
	shop, err := a.openBenchShop(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.close(context.WithoutCancel(ctx))) }()
	if o.warmUp > 0 {
		warm := shop.run(ctx, o.rate, o.warmUp)
		if err := a.awaitOrders(ctx, warm); err != nil {
			return fmt.Errorf("the warm-up: %w", err)
		}
	}
	before, err := a.usage()
	if err != nil {
		return err
	}
	own := ownCPU()
	began := time.Now()
	run := shop.run(ctx, o.rate, o.duration)
	if err := a.awaitOrders(ctx, run); err != nil {
		return err
	}
	took := time.Since(began)
	own = ownCPU() - own
	after, err := a.usage()
	if err != nil {
		return err
	}
	ends, err := a.orderEnds(ctx, run)
	if err != nil {
		return err
	}
	a.say("%s", machine())
	a.say("%d orders in %s, %.0f a second; the last came to its end %s after the first was placed", len(run.took)+run.failures, round(o.duration), float64(o.rate), round(took))
	if err := a.printLatencies(run, ends); err != nil {
		return err
	}
	a.say("confirmed: %d, %.1f a second until the last was; ended otherwise: %d; requests that failed: %d", len(ends.confirmed), float64(len(ends.confirmed))/ends.span.Seconds(), ends.others, run.failures)
	if err := a.printUsage(before, after, len(run.placed), took); err != nil {
		return err
	}
	a.say("the load generator itself: %.2f ms an order", 1000*own.Seconds()/float64(max(len(run.placed), 1)))
	if run.failures > 0 {
		return fmt.Errorf("%d requests failed, the first with: %w", run.failures, run.first)
	}
	if ends.others > 0 {
		return fmt.Errorf("%d orders were not confirmed: %v", ends.others, ends.reasons)
	}
	return nil
}

func (a *app) printLatencies(run *orderRun, ends orderEnds) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tnumber\tp50\tp95\tp99\tmax\t")
	for _, row := range []struct {
		name string
		took []time.Duration
	}{{"POST /v1/carts", run.carts}, {"POST /v1/orders", run.took}, {"placed to confirmed", ends.confirmed}} {
		slices.Sort(row.took)
		at := func(part float64) time.Duration {
			if len(row.took) == 0 {
				return 0
			}
			return row.took[min(int(part*float64(len(row.took))), len(row.took)-1)].Round(100 * time.Microsecond)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t\n", row.name, len(row.took), at(0.5), at(0.95), at(0.99), at(1))
	}
	return w.Flush()
}

// printUsage shows what each job and agent took, the greediest first.
func (a *app) printUsage(before, after map[string]usage, orders int, took time.Duration) error {
	names := slices.Collect(maps.Keys(after))
	spent := func(name string) float64 { return max(0, after[name].cpu-before[name].cpu) }
	slices.SortFunc(names, func(x, y string) int {
		if spent(x) > spent(y) {
			return -1
		}
		return 1
	})
	var all usage
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "CPU\tms an order\tcores\tmemory before\tafter\t")
	line := func(name string, cpu float64, was, is uint64) {
		fmt.Fprintf(w, "%s\t%.2f\t%.3f\t%s\t%s\t\n", name, 1000*cpu/float64(max(orders, 1)), cpu/took.Seconds(), mib(was), mib(is))
	}
	var was uint64
	for _, name := range names {
		all.cpu += spent(name)
		all.memory += after[name].memory
		was += before[name].memory
		line(name, spent(name), before[name].memory, after[name].memory)
	}
	line("all", all.cpu, was, all.memory)
	return w.Flush()
}

// ownCPU is the CPU time that this process has taken.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// orderRun is what the buyers of one run saw.
type orderRun struct {
	mu          sync.Mutex
	placed      []string        // ids of orders
	carts, took []time.Duration // from when each request was due
	failures    int
	first       error
}

func (r *orderRun) add(id string, cart, order time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.failures++; r.first == nil {
			r.first = err
		}
		return
	}
	r.placed = append(r.placed, id)
	r.carts, r.took = append(r.carts, cart), append(r.took, order)
}
