package chaos

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// fault is a SIGKILL to the process of a Nomad job.
type fault struct {
	at  time.Duration // since the buyers came
	job string
}

// between faults passes that much on average.
const between = 6 * time.Second

// victims are all that an order passes through.
var victims = []string{"gateway", "orders", "inventory", "payments", "catalog", "users", "kafka", "postgres"}

// schedule kills each victim once and then, as long as there is time, victims by chance; orders, inventory and payments
// more often than the rest. The same seed gives the same schedule.
func schedule(seed uint64, window time.Duration) []fault {
	draw := rand.New(rand.NewPCG(seed, 0xfa17))
	order := slices.Clone(victims)
	draw.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	n := max(len(order), int(window/between))
	saga := []string{"orders", "inventory", "payments"}
	for len(order) < n {
		pool := victims
		if draw.IntN(2) == 0 {
			pool = saga
		}
		order = append(order, pool[draw.IntN(len(pool))])
	}
	faults := make([]fault, n)
	for i, job := range order {
		slot := window / time.Duration(n)
		faults[i] = fault{at: slot*time.Duration(i) + time.Duration(draw.Int64N(int64(slot))), job: job}
	}
	slices.SortFunc(faults, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return faults
}
