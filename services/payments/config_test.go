package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"souk/internal/config"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if _, err := config.Parse(nil, Defaults()); err != nil {
		t.Error(err)
	}
}

func TestTheDocumentsOfAllEnvironmentsAreValid(t *testing.T) {
	files, err := filepath.Glob("../../consul-config/kv/*/payments.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(text, Defaults()); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestSettingsOutOfRangeAreNamedTogether(t *testing.T) {
	_, err := config.Parse([]byte("page_size: 0\nrequest_timeout: 1h\nconnections: 1\nprovider: stripe\nproviders: [paypal]\nprovider_timeout: 1ms\n"), Defaults())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, setting := range []string{"page_size is 0", "request_timeout is 1h", "connections is 1", `provider is "stripe"`, `"paypal"`, "provider_timeout is 1ms"} {
		if !strings.Contains(err.Error(), setting) {
			t.Errorf("%q is not among the problems:\n%v", setting, err)
		}
	}
}
