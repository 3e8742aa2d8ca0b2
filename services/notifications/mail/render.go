package mail

import (
	"embed"
	"errors"
	htmltemplate "html/template"
	"io"
	"regexp"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"

	"golang.org/x/text/language"

	"souk/internal/money"
	"souk/services/notifications/app"
)

// Each language has a file for each kind, with what is particular to it, beside layout.tmpl, which is the same for all.
//
//go:embed templates
var files embed.FS

// languages that there are templates for; the first is for those who read none of them.
var languages = []language.Tag{language.English, language.German}

// rendered is a mail in one language.
type rendered struct{ subject, text, html, language string }

// view is what templates see. Each text from outside is one line without control characters.
type view struct {
	Language string
	Kind     app.Kind
	Name     string // of who reads it; "" greets nobody by name
	Link     string
	Expires  string // "" if nothing is said of it
	Order    *app.Order
	Why      string     // code of why the order failed
	Lines    []app.Line // of the order, as many as are shown
	More     int        // lines that are not
}

// shownLines of an order at most.
const shownLines = 100

// linkLike finds what a mail program would make a link of.
var linkLike = regexp.MustCompile(`(?i)://|www\.|@|[\p{L}\p{N}-]\.\p{L}{2,}`)

// render makes subject and bodies. The name comes from who registered, perhaps with somebody else's address: one that
// looks like a link is not shown, so that our mails carry no advertisement of others.
func render(m app.Mail, c app.Content) (r rendered, err error) {
	lang := languageOf(c.Locale)
	v := view{Language: lang, Kind: m.Kind, Name: c.Name, Link: c.Link, Expires: moment(lang, c.ExpiresAt)}
	if linkLike.MatchString(v.Name) {
		v.Name = ""
	}
	if m.Order != nil {
		order := m.Order.Clean()
		shown := min(len(order.Lines), shownLines)
		if m.Kind == app.OrderFailed { // said in words
			v.Why, order.Reason = order.Reason, ""
		}
		v.Order, v.Lines, v.More = &order, order.Lines[:shown], len(order.Lines)-shown
	}
	all, err := parsed()
	if err != nil {
		return r, err
	}
	t, known := all[lang+"/"+string(m.Kind)]
	if !known {
		return r, errors.New("there is no such kind of mail")
	}
	r.language = lang
	if r.subject, err = execute(t.text.ExecuteTemplate, "subject", v); err != nil {
		return r, err
	}
	if r.text, err = execute(t.text.ExecuteTemplate, "text layout", v); err != nil {
		return r, err
	}
	r.html, err = execute(t.html.ExecuteTemplate, "html layout", v)
	r.subject = app.OneLine(r.subject, maxSubject)
	return r, err
}

// templates of one kind in one language.
type templates struct {
	text *texttemplate.Template
	html *htmltemplate.Template
}

// parsed are all of them, made when the first mail is: parsing, and finding what HTML must escape, takes longer than all
// the rest of a mail.
var parsed = sync.OnceValues(func() (map[string]templates, error) {
	all := map[string]templates{}
	for _, tag := range languages {
		lang := tag.String()
		functions := map[string]any{"money": func(a money.Amount) string { return amount(lang, a) }}
		for _, kind := range append(app.AccountKinds(), app.OrderKinds()...) {
			name := lang + "/" + string(kind)
			paths := []string{"templates/layout.tmpl", "templates/" + lang + "/common.tmpl", "templates/" + name + ".tmpl"}
			text, err := texttemplate.New("").Funcs(functions).ParseFS(files, paths...)
			if err != nil {
				return nil, err
			}
			html, err := htmltemplate.New("").Funcs(functions).ParseFS(files, paths...)
			if err != nil {
				return nil, err
			}
			all[name] = templates{text, html}
		}
	}
	return all, nil
})

const maxSubject = 150

func execute(template func(w io.Writer, name string, data any) error, name string, v view) (string, error) {
	var out strings.Builder
	err := template(&out, name, v)
	return out.String(), err
}

// languageOf is the best of languages for a locale such as de-AT or de_AT.
func languageOf(locale string) string {
	tag, err := language.Parse(app.OneLine(locale, 35))
	if err != nil {
		tag = languages[0]
	}
	_, i, _ := language.NewMatcher(languages).Match(tag)
	return languages[i].String()
}

// moment is a time as the language writes it; "" for none.
func moment(lang string, t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case lang == "de":
		return t.UTC().Format("02.01.2006, 15:04") + " Uhr (UTC)"
	}
	return t.UTC().Format("2 January 2006, 15:04") + " (UTC)"
}
