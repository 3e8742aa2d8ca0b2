package webhooks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"code.dny.dev/ssrf"
)

// Bounds on what a receiver may answer.
const (
	maxAnswerHeader = 16 << 10
	maxAnswerBody   = 64 << 10        // is read, so that the connection can be used again
	answerBodyTime  = time.Second     // for that
	dialTimeout     = 5 * time.Second //
)

// Problems of an attempt, for the log.
const (
	problemAddress     = "address-not-allowed"
	problemName        = "name-not-found"
	problemTLS         = "tls"
	problemConnection  = "connection"
	problemTimeout     = "timeout"
	problemRedirect    = "redirect" // which is never followed
	problemStatus      = "status"
	problemInterrupted = "interrupted"
)

// Client calls receivers. It keeps few connections, follows nothing and believes nothing.
type Client struct{ http *http.Client }

// NewClient makes a client. roots are the authorities whose certificates receivers may have; nil: the system's.
func NewClient(guard *Guard, roots *x509.CertPool) *Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: guard.guardian.Safe}
	return &Client{&http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext, // no proxy: it would do the looking up
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    dialTimeout,
			TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 alone
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHeader,
			DisableCompression:     true, // nothing is unpacked
			WriteBufferSize:        4 << 10,
			ReadBufferSize:         4 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// answer is what became of a call.
type answer struct {
	status     int           // 0: none
	retryAfter time.Duration // as the receiver asks
	problem    string        // "": a status of 2xx
}

// post sends a body, once. ctx bounds it all.
func (c *Client) post(ctx context.Context, url string, header http.Header, body []byte) answer {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer{problem: problemConnection}
	}
	req.GetBody = nil // else net/http may send it again by itself
	req.Header = header
	res, err := c.http.Do(req)
	if err != nil {
		return answer{problem: problemOf(ctx, err)}
	}
	// The status is all that matters. A body that is long, or slow, costs its connection.
	slow := time.AfterFunc(answerBodyTime, cancel)
	defer slow.Stop()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswerBody)
	_ = res.Body.Close()

	a := answer{status: res.StatusCode}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.retryAfter = time.Duration(min(seconds, 1<<20)) * time.Second
	}
	switch {
	case a.status >= 200 && a.status < 300:
	case a.status >= 300 && a.status < 400:
		a.problem = problemRedirect
	default:
		a.problem = problemStatus
	}
	return a
}

// problemOf sorts what went wrong on the way. The text of an error may have the URL in it, which may hold a secret: it is
// not kept.
func problemOf(ctx context.Context, err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var network net.Error
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork):
		return problemAddress
	case errors.Is(ctx.Err(), context.Canceled):
		return problemInterrupted
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return problemTimeout
	case errors.As(err, &dns):
		return problemName
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return problemTLS
	}
	return problemConnection
}
