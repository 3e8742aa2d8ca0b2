package main

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
)

// normalise gives the one spelling of a path (RFC 3986, section 6.2.2): percent-encoded
// letters, digits and -._~ are decoded, other encodings are in upper case. It is both
// what routes are matched with and what the service gets. The server has refused before
// what is read in two ways: dot and empty segments, encoded slashes, control characters,
// malformed encodings. The result is path itself or kept in buf.
func normalise(buf, path []byte) []byte {
	if bytes.IndexByte(path, '%') < 0 {
		return path
	}
	buf = buf[:0]
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' || i+2 >= len(path) {
			buf = append(buf, c)
			continue
		}
		if d := unhex(path[i+1])<<4 | unhex(path[i+2]); unreserved(d) {
			buf = append(buf, d)
		} else {
			buf = append(buf, '%', upper(path[i+1]), upper(path[i+2]))
		}
		i += 2
	}
	return buf
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'f' {
		return c - 'a' + 'A'
	}
	return c
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// segment cuts the first segment off a path that begins with "/".
func segment(path []byte) (first, rest []byte) {
	path = path[1:]
	if i := bytes.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, nil
}

var (
	literalSegment = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@-]+$`)
	parameter      = regexp.MustCompile(`^\{[a-z][a-z0-9_]*\}$`)
)

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

// checkPattern accepts /segments of literal characters or of one {parameter} each. The
// error goes on after the pattern.
func checkPattern(pattern string) error {
	if !strings.HasPrefix(pattern, "/") {
		return errors.New("must start with /")
	}
	if pattern == "/" {
		return errors.New("is the gateway's own")
	}
	seen := map[string]bool{}
	for s := range strings.SplitSeq(pattern[1:], "/") {
		switch {
		case s == "":
			return errors.New("has an empty segment; remove the double or last /")
		case s == "." || s == "..":
			return errors.New("has a dot segment; write the path it stands for")
		case strings.ContainsAny(s, "{}"):
			if !parameter.MatchString(s) {
				return errors.New("has a malformed parameter; one is a whole segment: {name} with letters, digits and _")
			}
			if seen[s] {
				return errors.New("has the parameter " + s + " twice; rename one")
			}
			seen[s] = true
		case !literalSegment.MatchString(s):
			return errors.New("has a character that can't stand in a path; the pattern is written without percent-encoding")
		}
	}
	return nil
}
