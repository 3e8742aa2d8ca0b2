package app

// Once makes a request that comes again with the same key have one effect and one answer.
type Once struct {
	Principal   string // who asks: keys of others are other keys
	Route       string // method and route template: "POST /v1/orders"
	Key         string // Idempotency-Key
	Fingerprint []byte // of the whole request
}
