package main

import (
	"strings"
	"testing"

	"souk/internal/config"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if _, err := config.Parse(nil, Defaults()); err != nil {
		t.Error(err)
	}
}

func TestSettingsOutOfRangeAreNamedTogether(t *testing.T) {
	_, err := config.Parse([]byte("page_size: 0\nrequest_timeout: 1h\nconnections: 1\nbatch: 0\nexpiry_interval: 1ms\nlocations: [main, Attic, main]\n"), Defaults())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, setting := range []string{"page_size is 0", "request_timeout is 1h", "connections is 1", "batch is 0", "expiry_interval is 1ms", `locations[1] is "Attic"`, `locations[2] is "main"`} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%q is not among the problems:\n%v", setting, err)
		}
	}
	if _, err := config.Parse([]byte("locations: []\n"), Defaults()); err == nil || !strings.Contains(err.Error(), "locations: their number is 0") {
		t.Errorf("no locations: %v", err)
	}
}
