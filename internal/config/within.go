package config

import (
	"cmp"
	"fmt"
)

// Within is the problem of a setting that is below low or above high, for a Validate; nil if there is none.
func Within[T cmp.Ordered](name string, value, low, high T) error {
	if value < low || value > high {
		return fmt.Errorf("%s is %v; it must be %v to %v", name, value, low, high)
	}
	return nil
}
