package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
	swagger "github.com/swaggo/files/v2"
)

var (
	//go:embed docs.html
	docsHTML     string
	docsTemplate = template.Must(template.New("docs").Parse(docsHTML))
	//go:embed docs.js
	docsScript string
)

// docsPolicy lets the page load its own files and call this API, and nothing else. Swagger
// UI adds one style sheet of its own, known by its hash.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src-elem 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// docsPage shows the one document with Swagger UI, and has the services' own in a list; without
// scripts it links them.
func (g *gateway) docsPage(c *fiber.Ctx) error {
	type api struct{ Name, Document string }
	apis := []api{{"Souk", wholeJSON}} // first, so it is shown
	for _, a := range g.config.Load().APIs {
		apis = append(apis, api{a.Name, documentPath(a.Name)})
	}
	var page bytes.Buffer
	if err := docsTemplate.Execute(&page, apis); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentSecurityPolicy, docsPolicy)
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set(fiber.HeaderCacheControl, "no-cache")
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Send(page.Bytes())
}

// docsFiles are the files that the page loads: Swagger UI, out of the program itself.
type docsFiles map[string]docsFile

type docsFile struct {
	open func() (io.Reader, int, error)
	mime string
	etag string
}

func newDocsFiles() docsFiles {
	files := docsFiles{"docs.js": {
		open: func() (io.Reader, int, error) { return strings.NewReader(docsScript), len(docsScript), nil },
		mime: fiber.MIMETextJavaScriptCharsetUTF8,
	}}
	for name, mime := range map[string]string{
		"swagger-ui.css":                  "text/css; charset=utf-8",
		"swagger-ui-bundle.js":            fiber.MIMETextJavaScriptCharsetUTF8,
		"swagger-ui-standalone-preset.js": fiber.MIMETextJavaScriptCharsetUTF8,
		"favicon-32x32.png":               "image/png",
	} {
		files[name] = docsFile{mime: mime, open: func() (io.Reader, int, error) { return embedded(name) }}
	}
	for name, f := range files {
		hash := sha256.New()
		r, _, err := f.open()
		if err == nil {
			_, err = io.Copy(hash, r)
		}
		if err != nil {
			panic("the documentation's files are not in the program: " + err.Error()) // the build is broken
		}
		f.etag = `"` + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:12]) + `"`
		files[name] = f
	}
	return files
}

// embedded reads from the program's own pages: a copy of a megabyte for each visitor would
// stay in memory.
func embedded(name string) (io.Reader, int, error) {
	f, err := swagger.FS.Open(name)
	if err != nil {
		return nil, 0, err
	}
	var info fs.FileInfo
	if info, err = f.Stat(); err != nil {
		return nil, 0, err
	}
	return f, int(info.Size()), nil
}

func (files docsFiles) serve(c *fiber.Ctx) error {
	f, ok := files[c.Params("file")]
	if !ok {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderETag, f.etag)
	c.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	if c.Get(fiber.HeaderIfNoneMatch) == f.etag {
		return c.SendStatus(http.StatusNotModified)
	}
	r, size, err := f.open()
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, f.mime)
	return c.SendStream(r, size)
}
