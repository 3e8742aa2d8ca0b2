package web

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/gofiber/fiber/v2"

	"souk/internal/errs"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	maxIdempotencyKey    = 255
)

// IdempotencyKey reads the Idempotency-Key header: 1 to 255 visible ASCII
// characters, in the quotes of a structured field (RFC 9651) or without. The
// fingerprint is a SHA-256 of method, path, query and body: the same key with
// another fingerprint is errs.IdempotencyKeyReused. Without the header the key is
// "" and the fingerprint nil. The key is the client's: scope it by principal.
func IdempotencyKey(c *fiber.Ctx) (key string, fingerprint []byte, err error) {
	sent := c.Request().Header.PeekAll(headerIdempotencyKey)
	if len(sent) == 0 {
		return "", nil, nil
	}
	key = string(sent[0])
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	valid := len(sent) == 1 && len(key) >= 1 && len(key) <= maxIdempotencyKey
	for i := range len(key) {
		// A quote or backslash inside would have two spellings.
		if ch := key[i]; ch <= ' ' || ch >= 0x7f || ch == '"' || ch == '\\' {
			valid = false
			break
		}
	}
	if !valid {
		return "", nil, errs.New(errs.Invalid, "bad-idempotency-key", "Idempotency-Key must be 1 to 255 visible ASCII characters").
			With(errs.Field{Pointer: "header:" + headerIdempotencyKey, Detail: "must be given once, 1 to 255 visible ASCII characters"})
	}
	return key, fingerprintOf(c), nil
}

// RequireIdempotencyKey is IdempotencyKey for routes that need one; a missing key
// is errs.Invalid with code idempotency-key-required.
func RequireIdempotencyKey(c *fiber.Ctx) (key string, fingerprint []byte, err error) {
	key, fingerprint, err = IdempotencyKey(c)
	if err == nil && key == "" {
		err = errs.New(errs.Invalid, "idempotency-key-required", "send an Idempotency-Key, such as a new UUID, so that a repetition is harmless").
			With(errs.Field{Pointer: "header:" + headerIdempotencyKey, Detail: "is required"})
	}
	return key, fingerprint, err
}

// fingerprintOf hashes the parts with their lengths, so that none can pass for
// the start of the next.
func fingerprintOf(c *fiber.Ctx) []byte {
	h := sha256.New()
	uri := c.Request().URI()
	for _, part := range [][]byte{c.Request().Header.Method(), uri.PathOriginal(), uri.QueryString(), c.Request().Body()} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	return h.Sum(nil)
}

// Replayed marks an answer that was kept from the first request with its key.
func Replayed(c *fiber.Ctx) { c.Set("Idempotent-Replayed", "true") }
