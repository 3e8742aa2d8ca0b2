package errs

import "net/http"

// Kind sorts errors by what the caller can do about them. Each has one HTTP
// status; the zero Kind is Internal, so that a forgotten kind hides, not shows.
type Kind uint8

// The kinds, with the status of RFC 9110 or RFC 6585 that each is answered with.
const (
	Internal             Kind = iota // 500: our fault; nothing is shown
	Invalid                          // 400: malformed
	Unauthenticated                  // 401: who are you?
	Forbidden                        // 403: known, but not allowed
	NotFound                         // 404
	Conflict                         // 409: the state of the resource forbids it now
	PreconditionFailed               // 412: If-Match names another version
	TooLarge                         // 413
	UnsupportedMedia                 // 415
	Unprocessable                    // 422: well formed, but it breaks a rule
	PreconditionRequired             // 428: If-Match is missing
	TooMany                          // 429
	BadGateway                       // 502: a server behind us answered nonsense
	Unavailable                      // 503: try again later
	Timeout                          // 504: a server behind us, or the whole request, took too long
)

// Status is the HTTP status of the kind.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case PreconditionFailed:
		return http.StatusPreconditionFailed
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case UnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case Unprocessable:
		return http.StatusUnprocessableEntity
	case PreconditionRequired:
		return http.StatusPreconditionRequired
	case TooMany:
		return http.StatusTooManyRequests
	case BadGateway:
		return http.StatusBadGateway
	case Unavailable:
		return http.StatusServiceUnavailable
	case Timeout:
		return http.StatusGatewayTimeout
	case Internal:
	}
	return http.StatusInternalServerError
}

// String is the kind's status text: "Not Found".
func (k Kind) String() string { return http.StatusText(k.Status()) }
