package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/internal/errs"
)

// ProblemType is the media type of every error (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is the body of every answer with a status of 400 and up.
type Problem struct {
	Type      string         `json:"type"`  // "/problems/<code>"
	Title     string         `json:"title"` // the status's text
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty"`   // what to change
	Instance  string         `json:"instance,omitempty"` // the request's path
	Code      string         `json:"code"`               // stable; for programs
	RequestID string         `json:"request_id,omitempty"`
	TraceID   string         `json:"trace_id,omitempty"`
	Errors    []ProblemError `json:"errors,omitempty"`
}

// ProblemError is one fault of the input.
type ProblemError struct {
	Pointer string `json:"pointer"` // RFC 6901 into the body, "?name", or "header:Name"
	Detail  string `json:"detail"`
}

// fault is an error that has a status of its own, which no errs.Kind has.
type fault struct {
	status int
	code   string
	detail string
	after  time.Duration // Retry-After; 0: none
	close  bool          // the connection can't be used any more
}

func (f *fault) Error() string { return f.code + ": " + f.detail }

// fail makes the answer a problem. It keeps headers that the handlers set (CORS,
// Allow) except those that describe the body that is not sent now.
func (s *Server) fail(fctx *fasthttp.RequestCtx, r *request, err error) {
	p, after, closing := problemOf(err, r)
	r.err, r.code = err, p.Code
	p.Instance = instance(r.path)
	p.RequestID, p.TraceID = r.id, r.trace.TraceID()
	write(&fctx.Response, p, after, closing)
}

func write(resp *fasthttp.Response, p Problem, after time.Duration, closing bool) {
	for _, name := range []string{
		fiber.HeaderContentEncoding, fiber.HeaderETag, fiber.HeaderLastModified, fiber.HeaderLocation,
		fiber.HeaderLink, fiber.HeaderContentRange, fiber.HeaderContentDisposition, fiber.HeaderContentSecurityPolicy,
	} {
		resp.Header.Del(name)
	}
	// 404, 405, 414 and 501 may be cached unless this says no (RFC 9110, section 15.1).
	resp.Header.Set(fiber.HeaderCacheControl, "no-store")
	if after > 0 {
		resp.Header.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized && len(resp.Header.Peek(fiber.HeaderWWWAuthenticate)) == 0 {
		resp.Header.Set(fiber.HeaderWWWAuthenticate, "Bearer") // RFC 9110, section 15.5.2
	}
	body, err := json.Marshal(p, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		body = []byte(`{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}`)
	}
	resp.ResetBody()
	resp.SetStatusCode(p.Status)
	resp.Header.SetContentType(ProblemType)
	resp.SetBodyRaw(body)
	if closing {
		resp.SetConnectionClose()
	}
}

// problemOf is the one map from errors to statuses. Only the texts of errs.Error
// and fault reach the client.
func problemOf(err error, r *request) (p Problem, after time.Duration, closing bool) {
	var (
		known   *errs.Error
		ours    *fault
		routing *fiber.Error
	)
	switch {
	case errors.As(err, &ours):
		return problem(ours.status, ours.code, ours.detail), ours.after, ours.close
	case errors.As(err, &known) && known.Kind != errs.Internal:
		p = problem(known.Kind.Status(), known.Code, known.Detail)
		for _, f := range known.Fields {
			p.Errors = append(p.Errors, ProblemError(f))
		}
		return p, known.RetryAfter, false
	case errors.Is(err, context.DeadlineExceeded), r.expired():
		return problem(http.StatusGatewayTimeout, "timeout", "the answer took too long; try again later"), time.Second, false
	case errors.Is(err, context.Canceled):
		return problem(http.StatusServiceUnavailable, "stopping", "this server is stopping; try again"), time.Second, true
	case errors.As(err, &routing):
		return problem(routing.Code, "", routingDetail(routing.Code)), 0, false
	case known != nil:
		return problem(http.StatusInternalServerError, known.Code, ""), 0, false
	}
	return problem(http.StatusInternalServerError, "", ""), 0, false
}

// expired reports whether the request's own time is over: then an error that hides
// its cause is still a timeout.
func (r *request) expired() bool {
	return r.ctx != nil && errors.Is(r.ctx.Err(), context.DeadlineExceeded)
}

var slugs = strings.NewReplacer(" ", "-", "'", "")

func problem(status int, code, detail string) Problem {
	title := http.StatusText(status)
	if title == "" || status < 400 {
		status, title = http.StatusInternalServerError, "Internal Server Error"
	}
	if status == http.StatusInternalServerError {
		detail = "" // whatever it is, it is not the client's business
		if code == "" {
			code = "internal"
		}
	}
	if code == "" {
		code = slugs.Replace(strings.ToLower(title))
	}
	return Problem{Type: "/problems/" + code, Title: title, Status: status, Detail: detail, Code: code}
}

// routingDetail replaces the texts of Fiber, which quote the request.
func routingDetail(status int) string {
	switch status {
	case http.StatusNotFound:
		return "there is nothing at this path"
	case http.StatusMethodNotAllowed:
		return "this path does not know the method; see the Allow header"
	}
	return ""
}

// instance is the request's path as a URI reference: what may not stand in one
// is percent-encoded.
func instance(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c != '/' && c != '%' && !pathByte(c) {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
