package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"souk/gateway/apidoc"
	"souk/internal/logs"
)

const (
	// documentsEvery is how soon a change of a service's document is seen.
	documentsEvery = 10 * time.Second
	documentsFirst = time.Second // while one has never been seen
	documentWait   = 3 * time.Second
	documentLimit  = 2 << 20
)

// documents keeps the services' OpenAPI documents, and the one that is made of them. What a
// service had last is kept, on disk too, while it is away or has something unreadable.
type documents struct {
	dir   string // "": nothing outlives the process
	log   *slog.Logger
	whole atomic.Pointer[wholeDocument]
	kick  chan struct{} // holds a note that the configuration has changed

	// Of the goroutine that follows.
	texts  map[string][]byte // by API
	failed map[string]bool   // at the last look
	made   [sha256.Size]byte // of what the whole was made
}

// wholeDocument is what /openapi.json and /openapi.yaml serve.
type wholeDocument struct{ json, yaml, etag []byte }

func newDocuments(stateDir string, log *slog.Logger) *documents {
	d := &documents{log: log, kick: make(chan struct{}, 1), texts: map[string][]byte{}, failed: map[string]bool{}}
	if stateDir != "" {
		d.dir = filepath.Join(stateDir, "openapi")
	}
	return d
}

// changed has the documents looked at soon.
func (d *documents) changed() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// followDocuments looks at every API's document now and then, until ctx ends.
func (g *gateway) followDocuments(ctx context.Context) {
	d := g.documents
	for _, a := range g.config.Load().APIs {
		d.recall(a.Name)
	}
	d.make(g.config.Load())
	timer := time.NewTimer(documentsEvery)
	defer timer.Stop()
	for ctx.Err() == nil {
		cfg, wait := g.config.Load(), documentsEvery
		for _, a := range cfg.APIs {
			if text, err := g.fetchDocument(a); err != nil {
				d.note(a.Name, err)
			} else {
				d.keep(a.Name, text)
			}
			if d.texts[a.Name] == nil {
				wait = documentsFirst
			}
		}
		d.make(cfg)
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-d.kick:
		case <-timer.C:
		}
	}
}

// fetchDocument asks one instance.
func (g *gateway) fetchDocument(a API) ([]byte, error) {
	res := g.table.Load().find([]byte(documentPath(a.Name)))
	if res == nil {
		return nil, errors.New("it is not routed")
	}
	r := res.routes[fiber.MethodGet]
	u := r.backend.pick(nil)
	if u == nil {
		return nil, errors.New("there is no instance")
	}
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	uri := req.URI()
	uri.SetScheme("https")
	uri.SetHost(a.Service + ".souk.internal")
	uri.SetPath(a.Path)
	if err := u.call(req, resp, time.Now().Add(documentWait)); err != nil {
		return nil, err
	}
	if resp.StatusCode() != http.StatusOK || len(resp.Body()) > documentLimit {
		return nil, fmt.Errorf("the answer is %d, of %d bytes", resp.StatusCode(), len(resp.Body()))
	}
	return slices.Clone(resp.Body()), nil
}

// note tells of a failure once.
func (d *documents) note(api string, err error) {
	if !d.failed[api] {
		d.log.Warn("an OpenAPI document can't be had; the last one stays", "openapi.name", api, logs.Err(err))
	}
	d.failed[api] = true
}

// keep takes a text that is an OpenAPI document.
func (d *documents) keep(api string, text []byte) {
	if bytes.Equal(d.texts[api], text) {
		d.failed[api] = false
		return
	}
	if err := apidoc.Check(text); err != nil {
		d.note(api, err)
		return
	}
	d.failed[api] = false
	d.texts[api] = text
	if d.dir == "" {
		return
	}
	err := os.MkdirAll(d.dir, 0o700)
	if err == nil {
		draft := d.file(api) + ".new"
		if err = os.WriteFile(draft, text, 0o600); err == nil {
			err = os.Rename(draft, d.file(api))
		}
	}
	if err != nil {
		d.log.Warn("an OpenAPI document is not kept on disk", "openapi.name", api, logs.Err(err))
	}
}

// recall reads what the last run had.
func (d *documents) recall(api string) {
	if d.dir == "" {
		return
	}
	text, err := os.ReadFile(d.file(api))
	if err == nil && apidoc.Check(text) == nil {
		d.texts[api] = text
	}
}

// file of an API, whose name is one of a file too (apiName).
func (d *documents) file(api string) string { return filepath.Join(d.dir, api+".yaml") }

// make merges anew if a document, or what is routed, has changed.
func (d *documents) make(cfg *Config) {
	var sources []apidoc.Source
	services := map[string]string{}
	sum := sha256.New()
	for _, a := range cfg.APIs {
		services[a.Name] = a.Service
		if text := d.texts[a.Name]; text != nil {
			sources = append(sources, apidoc.Source{Name: a.Name, Text: text})
			fmt.Fprintf(sum, "%q %q %d\n%s", a.Name, a.Service, len(text), text)
		}
	}
	routed := map[string]bool{}
	for _, r := range cfg.Routes {
		for _, m := range r.Methods {
			routed[m+" "+r.Service+" "+apidoc.Shape(r.Path)] = true
			fmt.Fprintf(sum, "%s %s %s\n", m, r.Service, r.Path)
		}
	}
	made := [sha256.Size]byte(sum.Sum(nil))
	if d.whole.Load() != nil && made == d.made {
		return
	}
	whole, err := apidoc.Merge(apidoc.Info{Title: "Souk", Version: "1", Description: "Everything that the gateway routes."}, sources, func(api, method, path string) bool {
		return routed[method+" "+services[api]+" "+apidoc.Shape(path)]
	})
	if err != nil { // each has been looked at before
		d.log.Error("the whole OpenAPI document can't be made; the last one stays", logs.Err(err))
		return
	}
	for _, what := range whole.Skipped {
		d.log.Warn("the whole OpenAPI document lacks something", "openapi.skipped", what)
	}
	d.made = made
	hash := sha256.Sum256(whole.JSON)
	d.whole.Store(&wholeDocument{json: whole.JSON, yaml: whole.YAML, etag: []byte(`"` + base64.RawURLEncoding.EncodeToString(hash[:12]) + `"`)})
}

// serve answers with the whole, in one spelling.
func (d *documents) serve(mime string, text func(*wholeDocument) []byte) fiber.Handler {
	return func(c *fiber.Ctx) error {
		w := d.whole.Load()
		if w == nil {
			return fiber.ErrServiceUnavailable
		}
		c.Response().Header.SetBytesV(fiber.HeaderETag, w.etag)
		c.Set(fiber.HeaderCacheControl, "no-cache")
		if c.Get(fiber.HeaderIfNoneMatch) == string(w.etag) {
			return c.SendStatus(http.StatusNotModified)
		}
		c.Set(fiber.HeaderContentType, mime)
		c.Response().SetBodyRaw(text(w))
		return nil
	}
}
