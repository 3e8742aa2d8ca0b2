// Package config gives a service its typed configuration: defaults, overlaid with
// the YAML that `souk config push` wrote to Consul's KV store, checked, and watched
// while the service runs.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Validator is a pointer to a service's configuration. Validate returns every
// problem at once (errors.Join), each with the setting's path, the value it has
// and the values it may have.
type Validator[T any] interface {
	*T
	Validate() error
}

// Parse overlays defaults with a YAML document and validates the result. Unknown
// and repeated keys are errors; a list in the document replaces the default list. An
// empty document leaves the defaults. The error is for people: one line a problem.
func Parse[T any, P Validator[T]](raw []byte, defaults T) (*T, error) {
	c := defaults
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	switch err := dec.Decode(&c); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, readable(err)
	default:
		if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			return nil, errors.New("there is a second document after `---`: one file is one document")
		}
		if err := truncated(raw, &c); err != nil {
			return nil, err
		}
	}
	if err := P(&c).Validate(); err != nil {
		return nil, err
	}
	return &c, nil
}

// truncated finds numbers with a fraction that the YAML library cut to whole ones.
func truncated(raw []byte, c any) error {
	var given, taken yaml.Node
	if err := errors.Join(yaml.Unmarshal(raw, &given), taken.Encode(c)); err != nil {
		return err
	}
	if len(given.Content) == 0 {
		return nil
	}
	return compareNumbers("", given.Content[0], &taken)
}

func compareNumbers(path string, given, taken *yaml.Node) error {
	var problems []error
	switch {
	case given.Kind == yaml.ScalarNode && given.Tag == "!!float" && taken.Kind == yaml.ScalarNode:
		var want, have float64
		if given.Decode(&want) != nil || taken.Decode(&have) != nil || want != have {
			return fmt.Errorf("line %d: %s is `%s`, which is neither a whole number nor a duration such as 500ms, 5s or 1h", given.Line, path, given.Value)
		}
	case given.Kind == yaml.SequenceNode && taken.Kind == yaml.SequenceNode && len(given.Content) == len(taken.Content):
		for i := range given.Content {
			problems = append(problems, compareNumbers(fmt.Sprintf("%s[%d]", path, i), given.Content[i], taken.Content[i]))
		}
	case given.Kind == yaml.MappingNode && taken.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(given.Content); i += 2 {
			for j := 0; j+1 < len(taken.Content); j += 2 {
				if key := given.Content[i].Value; key == taken.Content[j].Value {
					problems = append(problems, compareNumbers(strings.TrimPrefix(path+"."+key, "."), given.Content[i+1], taken.Content[j+1]))
				}
			}
		}
	}
	return errors.Join(problems...)
}

var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)
	wrongType    = regexp.MustCompile("cannot unmarshal !!(\\S+) (`[^`]*`) into (\\S+)")
	repeatedKey  = regexp.MustCompile(`mapping key ("[^"]+") already defined at (line \d+)`)
	wanted       = map[string]string{
		"int": "a whole number", "int64": "a whole number", "float64": "a number", "bool": "true or false", "string": "text",
		"time.Duration": "a duration such as 500ms, 5s or 1h", "slog.Level": "debug, info, warn or error",
	}
)

// readable says what the YAML library found without names of Go types.
func readable(err error) error {
	te := (*yaml.TypeError)(nil)
	if !errors.As(err, &te) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	lines := make([]error, 0, len(te.Errors))
	for _, line := range te.Errors {
		line = unknownField.ReplaceAllString(line, "there is no setting $1")
		line = repeatedKey.ReplaceAllString(line, "$1 is set twice, first at $2")
		if m := wrongType.FindStringSubmatch(line); m != nil {
			want := wanted[m[3]]
			switch {
			case want != "":
			case strings.HasPrefix(m[3], "[]"):
				want = "a list"
			default:
				want = "a group of settings"
			}
			line = strings.Replace(line, m[0], fmt.Sprintf("%s is not %s", m[2], want), 1)
		}
		lines = append(lines, errors.New(line))
	}
	return errors.Join(lines...)
}

// Checker returns what checks a document without running the service: it gives the
// configuration that would be in force, as YAML with secrets masked.
func Checker[T any, P Validator[T]](defaults func() T) func(raw []byte) ([]byte, error) {
	return func(raw []byte) ([]byte, error) {
		c, err := Parse[T, P](raw, defaults())
		if err != nil {
			return nil, err
		}
		return yaml.Marshal(c)
	}
}

// Secret is text that is never printed: formatting, logging and marshalling show ***.
type Secret string

const masked = "***"

func (s Secret) String() string               { return masked }
func (s Secret) GoString() string             { return masked }
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }
func (s Secret) MarshalYAML() (any, error)    { return masked, nil }

// Reveal is the text itself.
func (s Secret) Reveal() string { return string(s) }
