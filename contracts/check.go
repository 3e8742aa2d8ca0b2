package contracts

import (
	"bytes"
	"fmt"
	"path"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"souk/internal/events"
)

// compiled has the schemas by their URN, with formats checked.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, s := range all() {
		text, err := files.ReadFile(path.Join("schemas", s.file))
		if err != nil {
			return nil, err
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
		if err := c.AddResource(s.URN, document); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
	}
	schemas := map[string]*jsonschema.Schema{}
	for _, s := range all() {
		var err error
		if schemas[s.URN], err = c.Compile(s.URN); err != nil {
			return nil, fmt.Errorf("%s: %w", s.file, err)
		}
	}
	return schemas, nil
})

// Check says what is wrong with an event as it is published: its type has no schema,
// ce_dataschema is not that schema's, the subject is not the key, or the data is not as
// the schema says. It is for the tests of those who publish and consume, not for
// production: that a member is missing, a consumer notices by itself.
func Check(m events.Message) error {
	schemas, err := compiled()
	if err != nil {
		return fmt.Errorf("contracts: %w", err)
	}
	kind := m.Event.Type()
	urn := Schema(kind)
	switch {
	case urn == "":
		return fmt.Errorf("%s: there is no schema for events of this type", kind)
	case m.Event.DataSchema() != urn:
		return fmt.Errorf("%s: ce_dataschema is %q, not %q", kind, m.Event.DataSchema(), urn)
	case m.Event.Subject() != m.Key:
		return fmt.Errorf("%s: the subject is %q and the key %q", kind, m.Event.Subject(), m.Key)
	}
	data, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Event.Data()))
	if err != nil {
		return fmt.Errorf("%s: its data is no JSON: %w", kind, err)
	}
	if err := schemas[urn].Validate(data); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}
