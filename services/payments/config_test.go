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
	_, err := config.Parse([]byte("page_size: 0\nrequest_timeout: 1h\nconnections: 1\n"), Defaults())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, setting := range []string{"page_size is 0", "request_timeout is 1h", "connections is 1"} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%q is not among the problems:\n%v", setting, err)
		}
	}
}
