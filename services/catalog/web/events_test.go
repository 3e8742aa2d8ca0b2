package web_test

import (
	"os"
	"testing"

	"github.com/pb33f/libopenapi"
	schemas "github.com/pb33f/libopenapi-validator/schema_validation"

	"souk/services/catalog/app"
)

func TestEventsCarryWhatTheContractSays(t *testing.T) {
	s := newStore(t)
	a := serveOn(t, app.New(s, settings))
	category := a.category(`{"slug":"c","name":"C"}`)
	a.product("p", `"category_id":"`+category.ID+`"`, `"attributes":{"a":"1"}`)
	all, err := s.Pending(t.Context(), 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d events, %v", len(all), err)
	}
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		name := "Product"
		if e.Type == app.CategoriesChanged {
			name = "CategoryTree"
		}
		schema := model.Model.Components.Schemas.GetOrZero(name).Schema()
		if ok, problems := schemas.NewSchemaValidator().ValidateSchemaBytes(schema, e.Data); !ok {
			t.Errorf("%s is no %s: %v", e.Data, name, problems)
		}
	}
}
