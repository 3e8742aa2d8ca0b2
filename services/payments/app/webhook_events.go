package app

import "strings"

// WebhookEvents are the types of events that endpoints may be told of: what happens to orders and to payments. Others
// of the same topics are nobody's business outside.
func WebhookEvents() []string {
	return []string{
		"souk.orders.order.placed.v1",
		"souk.orders.order.confirmed.v1",
		"souk.orders.order.cancelled.v1",
		"souk.orders.order.failed.v1",
		"souk.orders.order.refunded.v1",
		"souk.orders.order.fulfilled.v1",
		"souk.payments.payment.authorised.v1",
		"souk.payments.payment.declined.v1",
		"souk.payments.payment.captured.v1",
		"souk.payments.payment.capture_failed.v1",
		"souk.payments.payment.voided.v1",
		"souk.payments.payment.refunded.v1",
		"souk.payments.payment.refund_failed.v1",
	}
}

// WebhookMatches tells whether a pattern means an event type: "*" means all, "souk.orders.*" all whose first parts are
// these, and anything else itself.
func WebhookMatches(pattern, kind string) bool {
	if pattern == "*" {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, ".*"); ok {
		return strings.HasPrefix(kind, prefix+".")
	}
	return pattern == kind
}
