package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"souk/internal/postgres"
	"souk/services/inventory/app"
)

// BenchmarkOrders reserves and commits orders of two lines, one of them of the SKU that everybody wants, from four
// partitions at once. One operation is one order, so two commands; the CPU time is that of this process and of all
// PostgreSQL, for each command.
func BenchmarkOrders(b *testing.B) {
	f := open(b)
	hot := f.sku(app.Level{Location: "main", Available: app.MaxDelta})
	var others []string
	for range 50 {
		others = append(others, f.sku(app.Level{Location: "main", Available: app.MaxDelta}))
	}
	for _, size := range []int{1, 10, 50} { // orders whose commands are in one transaction
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const partitions = 4
			own, server, began := ownCPU(b), postgresCPU(b), time.Now()
			var wg sync.WaitGroup
			for p := range partitions {
				wg.Go(func() {
					for at := p * size; at < b.N; at += partitions * size {
						n := min(size, b.N-at)
						reserves, commits := make([]app.Command, n), make([]app.Command, n)
						for i := range n {
							order := newOrder()
							reserves[i] = newReserve(b, order, time.Hour, map[string]int64{hot: 1, others[(at+i)%len(others)]: 1})
							commits[i] = commit(order)
						}
						for _, batch := range [][]app.Command{reserves, commits} {
							err := postgres.Tx(b.Context(), f.pool, func(tx pgx.Tx) error { return f.Decide(b.Context(), tx, batch) })
							if err != nil {
								b.Error(err)
								return
							}
						}
					}
				})
			}
			wg.Wait()
			commands := float64(2 * b.N)
			b.ReportMetric(commands/time.Since(began).Seconds(), "commands/s")
			b.ReportMetric((ownCPU(b)-own).Seconds()*1e6/commands, "own-µs/command")
			b.ReportMetric((postgresCPU(b)-server).Seconds()*1e6/commands, "postgres-µs/command")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// postgresCPU is what all processes called postgres have used (proc(5): fields 14 and 15, in hundredths of a second).
func postgresCPU(b *testing.B) (sum time.Duration) {
	b.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		b.Skip("needs /proc")
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil { // it has ended
			continue
		}
		comm, rest, _ := strings.Cut(string(raw), ")")
		fields := strings.Fields(rest)
		if !strings.HasSuffix(comm, "(postgres") || len(fields) < 13 {
			continue
		}
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return sum
}
