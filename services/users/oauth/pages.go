package oauth

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/ory/fosite"

	"souk/internal/errs"
	"souk/internal/logs"
	"souk/internal/web"
)

//go:embed html
var files embed.FS

// pages are the templates: html/page.html around each of the others, with html/style.css inside.
type pages struct {
	templates map[string]*template.Template
	style     template.CSS
	styleHash string // of the style, for Content-Security-Policy
}

func newPages() (*pages, error) {
	style, err := files.ReadFile("html/style.css")
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(style)
	p := &pages{templates: map[string]*template.Template{}, style: template.CSS(style), styleHash: "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"}
	names, err := fs.Glob(files, "html/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if p.templates[strings.TrimSuffix(strings.TrimPrefix(name, "html/"), ".html")], err = template.ParseFS(files, "html/page.html", name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// view is what a page shows.
type view struct {
	Title      string
	FormAction string // where a form may lead beside ourselves, as Content-Security-Policy says it; "" for nowhere
	Data       map[string]any

	Style template.CSS // these are show's
	Form  string
}

// pageError is a failure that has a page.
type pageError struct {
	status        int
	title, detail string
}

func (e *pageError) Error() string { return e.title }

// show sends a page. It must not be framed (clickjacking), kept, or tell others by Referer where the user has been.
func (s *Server) show(c *fiber.Ctx, status int, name string, v view) error {
	v.Style, v.Form = s.pages.style, s.formToken(c)
	var b bytes.Buffer
	if err := s.pages.templates[name].ExecuteTemplate(&b, "page", v); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentSecurityPolicy, strings.TrimSpace("default-src 'none'; style-src "+s.pages.styleHash+
		"; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+v.FormAction))
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	c.Set(fiber.HeaderContentLanguage, "en")
	c.Status(status)
	return c.Send(b.Bytes())
}

// page has a handler's failures shown as pages, and gives every answer the headers of one.
func (s *Server) page(h fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		c.Set(fiber.HeaderCacheControl, "no-store")
		c.Set(fiber.HeaderPragma, "no-cache")
		c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
		c.Set(fiber.HeaderXFrameOptions, "DENY")
		err := h(c)
		if err == nil {
			return nil
		}
		p := s.problem(c, err)
		return s.show(c, p.status, "error", view{Title: p.title, Data: map[string]any{"Detail": p.detail, "RequestID": web.RequestID(c)}})
	}
}

// problem puts any error into words for a person.
func (s *Server) problem(c *fiber.Ctx, err error) *pageError {
	var (
		ours   *pageError
		oauth  *fosite.RFC6749Error
		known  *errs.Error
		status = http.StatusInternalServerError
	)
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.As(err, &oauth):
		status = oauth.CodeField
		if status == http.StatusUnauthorized { // that is for the application, not for its user
			status = http.StatusBadRequest
		}
		return &pageError{status, "The application's request is not right", describe(oauth) + " Nothing was sent to the application."}
	case isBusy(err):
		status = http.StatusServiceUnavailable
		if errors.As(err, &known) {
			status = known.Kind.Status()
			if known.RetryAfter > 0 {
				c.Set(fiber.HeaderRetryAfter, seconds(known.RetryAfter))
			}
		}
		s.opts.Log.WarnContext(web.Context(c), "a page could not be shown", logs.Err(err))
		return &pageError{status, "That did not work", "Something that we need can't be reached at the moment. Go back and try again in a few seconds."}
	case errors.As(err, &known) && known.Kind.Status() < http.StatusInternalServerError:
		return &pageError{known.Kind.Status(), "That did not work", sentence(known)}
	}
	s.opts.Log.ErrorContext(web.Context(c), "a page failed", logs.Err(err))
	return &pageError{status, "That did not work", "The fault is ours. Go back and try again later."}
}
