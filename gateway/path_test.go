package main

import (
	"bytes"
	"net/url"
	"testing"
)

func FuzzAPathKeepsItsMeaning(f *testing.F) {
	for _, s := range []string{"/", "/a/%7e", "/%C3%a9", "/a%2", "/%", "/a/b;c=%3B", "/%41%2F", "/%61%25"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		got := normalise(nil, path)
		if again := normalise(nil, got); !bytes.Equal(got, again) {
			t.Errorf("%q becomes %q, then %q", path, got, again)
		}
		want, err := url.PathUnescape(string(path))
		if err != nil {
			return // the server refuses it
		}
		if have, err := url.PathUnescape(string(got)); err != nil || have != want {
			t.Errorf("%q means %q, its normal form %q means %q, %v", path, want, got, have, err)
		}
	})
}

func FuzzATableFindsWithoutPanic(f *testing.F) {
	c := routesOf("/v1/a", "/v1/a/{id}", "/v1/a/special", "/v1/a/{id}/b", "/v1/{kind}/x/y")
	tab, err := buildTable(&c)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"/v1/a", "/v1/a/1/b", "", "/", "//", "*", "/v1//a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		if r := tab.find(path); r != nil && bytes.Count(path, []byte("/")) != bytes.Count([]byte(r.pattern), []byte("/")) {
			t.Errorf("%q goes to %q", path, r.pattern)
		}
	})
}
