//go:build race

package web

// raceEnabled: the race detector changes how much memory is taken.
const raceEnabled = true
