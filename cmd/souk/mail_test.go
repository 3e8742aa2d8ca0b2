package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	gomail "github.com/wneessen/go-mail"

	"souk/internal/instance"
)

// withMails is an instance in whose mail folder these lie, by file name.
func withMails(t *testing.T, names ...string) *app {
	t.Helper()
	a := &app{Instance: &instance.Instance{Home: t.TempDir()}}
	if err := os.Mkdir(a.Path("mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		m := gomail.NewMsg()
		for _, err := range []error{m.From("shop@example.com"), m.To("kim@example.com")} {
			if err != nil {
				t.Fatal(err)
			}
		}
		m.Subject("Grüße " + name)
		m.SetBodyString(gomail.TypeTextPlain, "Follow http://127.0.0.1:20000/account/verify?token=smv_a-B_c9\r\nplease.")
		m.AddAlternativeString(gomail.TypeTextHTML, "<p>no</p>")
		if err := m.WriteToFile(a.Path("mail", name)); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestMailsAreListedInTheOrderInWhichTheyWereWritten(t *testing.T) {
	a := withMails(t, "20260302T100000Z-reset_password-0190-b.eml", "20260301T100000Z-verify_email-0190-a.eml")
	if err := os.WriteFile(a.Path("mail", "20260303T100000Z-verify_email-x.eml.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	mails, err := a.mails()
	if err != nil || len(mails) != 2 {
		t.Fatalf("%v %v", mails, err)
	}
	if mails[0].id != "0190-a" || mails[1].id != "0190-b" || !strings.Contains(mails[0].subject, "Grüße") || mails[0].to != "kim@example.com" {
		t.Errorf("%+v", mails)
	}
	if link := linkToken.FindStringSubmatch(mails[0].text); link == nil || link[1] != "smv_a-B_c9" {
		t.Errorf("the link in %q is %q", mails[0].text, link)
	}
}

func TestAMailIsFoundByTheStartOfItsID(t *testing.T) {
	a := withMails(t, "20260301T100000Z-verify_email-0190aa.eml", "20260302T100000Z-verify_email-0190ab.eml")
	for id, want := range map[string]string{"0190aa": "0190aa", "last": "0190ab"} {
		if m, err := a.findMail(id); err != nil || m.id != want {
			t.Errorf("%s: %v %v", id, m.id, err)
		}
	}
	for id, want := range map[string]string{"0190": "2 e-mails", "x": "no e-mail"} {
		if _, err := a.findMail(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if mails, err := (&app{Instance: &instance.Instance{Home: filepath.Join(t.TempDir(), "none")}}).mails(); err != nil || len(mails) > 0 {
		t.Errorf("without a folder: %v %v", mails, err)
	}
}
