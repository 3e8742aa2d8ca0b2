package web

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	httpserver "souk/internal/web"
)

func TestTheContractHasEveryRouteAndNoOther(t *testing.T) {
	raw, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(raw)
	if err != nil {
		t.Fatal(err)
	}
	v, problems := validator.NewValidator(document)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		t.Errorf("it is no OpenAPI 3.1: %v", problems)
	}
	model, err := document.BuildV3Model()
	if err != nil {
		t.Fatal(err)
	}
	var promised, served []string
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			promised = append(promised, strings.ToUpper(method)+" "+path)
		}
	}
	server := httpserver.New(httpserver.Options{Service: "test"})
	Routes(server.App(), Options{})
	parameter := regexp.MustCompile(`:(\w+)`)
	for _, r := range server.App().GetRoutes(true) {
		if r.Method != fiber.MethodHead { // comes with GET
			served = append(served, r.Method+" "+parameter.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	slices.Sort(promised)
	slices.Sort(served)
	if !slices.Equal(promised, served) {
		t.Errorf("openapi.yaml has\n  %s\nand the server\n  %s", strings.Join(promised, "\n  "), strings.Join(served, "\n  "))
	}
}
