package app

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// circuit keeps a server that is down from being asked by every mail: after a few failures in a row nobody asks for a
// while, and then one mail tries.
type circuit struct {
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// openAfter is how many failures in a row open a circuit.
const openAfter = 3

func newCircuit(name string, pause time.Duration, changed func(name string, open bool)) circuit {
	return circuit{gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Timeout: pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= openAfter },
		OnStateChange: func(name string, from, to gobreaker.State) {
			if to == gobreaker.StateHalfOpen || from == gobreaker.StateHalfOpen && to == gobreaker.StateOpen {
				return // it has not answered yet
			}
			changed(name, to == gobreaker.StateOpen)
		},
	})}
}

// open reports that asking is of no use now.
func (c circuit) open() bool { return c.breaker.State() == gobreaker.StateOpen }

// errOpen is a wait, not an attempt.
var errOpen = &Failure{Reason: "circuit-open", Waits: true}

// do runs f unless the circuit is open or another tries it; a *Failure that is Down counts against the server.
func (c circuit) do(f func() error) error {
	done, err := c.breaker.Allow()
	if err != nil {
		return errOpen
	}
	answered := false // not if f panics
	defer func() { done(answered) }()
	err = f()
	failure := (*Failure)(nil)
	answered = !errors.As(err, &failure) || !failure.Down
	return err
}
