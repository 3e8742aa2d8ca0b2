package main

import (
	"encoding/json"
	"testing"
)

func TestAStoryTellsAmountsAsMoney(t *testing.T) {
	for event, want := range map[string]string{
		`{"type":"placed","data":{"number":100001,"total":129000,"currency":"EUR"}}`:           "placed, number 100001",
		`{"type":"payment_authorised","data":{"intent_id":"i","amount":129000}}`:               "payment authorised, amount EUR 1290.00",
		`{"type":"payment_refunded","data":{"amount":5,"refunded_total":129000,"reason":"x"}}`: "payment refunded, reason x, amount EUR 0.05, refunded total EUR 1290.00",
		`{"type":"refund_requested","data":{"amount":9007199254740991,"reason":""}}`:           "refund requested, amount EUR 90071992547409.91",
		`{"type":"stock_released","data":{"restocked":true}}`:                                  "stock released",
	} {
		var c chapter
		if err := json.Unmarshal([]byte(event), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.of("EUR"); got != want {
			t.Errorf("%s\nis told as %q, want %q", event, got, want)
		}
	}
	yen := chapter{Type: "payment_captured", Data: map[string]any{"amount": 500.0}}
	if got := yen.of("JPY"); got != "payment captured, amount JPY 500" {
		t.Errorf("%q", got)
	}
}
