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

func TestSettingsThatCanNotBeAreNamedTogether(t *testing.T) {
	_, err := config.Parse([]byte(`
smtp: {host: "a b", port: 0, tls: starttls, from: "no-reply", timeout: 1ms, reply_timeout: 1h}
retry: {first: 2h, longest: 1h, give_up: 1s}
senders: 0
`), Defaults())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, setting := range []string{"smtp.host", "smtp.port", "smtp.tls", "smtp.from", "smtp.timeout", "smtp.reply_timeout", "retry.first", "retry.longest", "retry.give_up", "senders"} {
		if !strings.Contains(err.Error(), setting+" is ") {
			t.Errorf("%s is not among the problems:\n%v", setting, err)
		}
	}
}

func TestASenderCanNotCarryAnotherHeader(t *testing.T) {
	for _, from := range []string{`"\"Souk\r\nBcc: a@b.example\" <no-reply@souk.example>"`, `Souk <no-reply@souk.example>, Other <a@b.example>`, `Souk <>`, `"Souk <no-reply@souk.example>\r\nBcc: a@b.example"`} {
		if _, err := config.Parse([]byte("smtp:\n  from: "+from+"\n"), Defaults()); err == nil {
			t.Errorf("%s is taken", from)
		}
	}
}
