package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

type shop struct {
	Page    page          `yaml:"page"`
	Timeout time.Duration `yaml:"timeout"`
	Regions []string      `yaml:"regions"`
	Key     Secret        `yaml:"key"`
}

type page struct {
	Size int `yaml:"size"`
	Max  int `yaml:"max"`
}

func shopDefaults() shop {
	return shop{Page: page{Size: 20, Max: 100}, Timeout: time.Second, Regions: []string{"eu"}, Key: "hush"}
}

func (s *shop) Validate() error {
	var problems []error
	if s.Page.Size < 1 || s.Page.Size > s.Page.Max {
		problems = append(problems, fmt.Errorf("page.size is %d: give 1 to page.max (%d)", s.Page.Size, s.Page.Max))
	}
	if s.Timeout <= 0 {
		problems = append(problems, fmt.Errorf("timeout is %s: give more than 0s", s.Timeout))
	}
	return errors.Join(problems...)
}

func TestADocumentIsLaidOverTheDefaults(t *testing.T) {
	c, err := Parse[shop]([]byte("page: {size: 50}\ntimeout: 3s\nregions: [us, asia]\n"), shopDefaults())
	if err != nil {
		t.Fatal(err)
	}
	if c.Page != (page{Size: 50, Max: 100}) || c.Timeout != 3*time.Second || fmt.Sprint(c.Regions) != "[us asia]" {
		t.Errorf("got %+v", c)
	}
}

func TestAnEmptyDocumentLeavesTheDefaults(t *testing.T) {
	for _, document := range []string{"", "\n", "# only a comment\n", "---\n", "{}", "null"} {
		c, err := Parse[shop]([]byte(document), shopDefaults())
		if err != nil || c.Page.Size != 20 {
			t.Errorf("%q: %+v, %v", document, c, err)
		}
	}
}

func TestABadDocumentIsRefusedWithWhatToChange(t *testing.T) {
	for document, want := range map[string]string{
		"pages: {size: 5}":                   "line 1: there is no setting pages",
		"page: {sice: 5}":                    "there is no setting sice",
		"timeout: 1s\ntimeout: 2s":           `"timeout" is set twice, first at line 1`,
		"page: {size: many}":                 "`many` is not a whole number",
		"page: {size: 1.5}":                  "page.size is `1.5`, which is neither a whole number",
		"timeout: 5.5":                       "`5.5` is not a duration",
		"page: {size: .inf}":                 "is not a whole number",
		"timeout: 5":                         "", // a bare number would be nanoseconds
		"timeout: soon":                      "`soon` is not a duration such as 500ms",
		"page: 7":                            "`7` is not a group of settings",
		"regions: eu":                        "`eu` is not a list",
		"page: {size: 0}":                    "page.size is 0: give 1 to page.max (100)",
		"page: {size: 0}\ntimeout: 0s":       "timeout is 0s",
		"timeout: 1s\n---\ntimeout: 2s":      "one file is one document",
		"page: {size: 5":                     "line 1",
		"\x00":                               "control characters",
		"a: &a [*a]":                         "there is no setting a",
		"page: {size: 99999999999999999999}": "is not a whole number",
	} {
		_, err := Parse[shop]([]byte(document), shopDefaults())
		if err == nil {
			t.Errorf("%q was taken", document)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "config.shop") {
			t.Errorf("%q: %v", document, err)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	s := shopDefaults()
	effective, err := Checker[shop](shopDefaults)(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(effective), fmt.Sprint(s.Key), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s.Key, s.Key)} {
		if strings.Contains(text, "hush") {
			t.Errorf("shown: %s", text)
		}
	}
	if s.Key.Reveal() != "hush" {
		t.Error("the secret itself is lost")
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	f.Add("page: {size: 5}")
	f.Add("? [a]\n: b")
	f.Add("a: &x {<<: *x}")
	f.Fuzz(func(_ *testing.T, document string) {
		_, _ = Parse[shop]([]byte(document), shopDefaults())
	})
}
