package seed

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"souk/internal/money"
)

func TestAFileIsReadAsItIsWritten(t *testing.T) {
	got, err := load(os.DirFS(filepath.Join("testdata", "shop")))
	if err != nil {
		t.Fatal(err)
	}
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: "EUR"} }
	want := Catalogue{
		Categories: []Category{
			{Slug: "home", Name: "Home", Children: []Category{{Slug: "cookware", Name: "Cookware"}}},
			{Slug: "garden", Name: "Garden"},
		},
		Products: []Product{
			{
				Slug: "skillet", Title: "Skillet", Brand: "Hallmoor", Category: "cookware", file: "cookware.yaml",
				Description: "Sand-cast in one piece, 100 % iron.",
				Attributes:  map[string]string{"material": "cast iron", "capacity": "2.6", "induction": "yes"},
				Options:     []Option{{Name: "size", Values: []string{"26 cm", "20 cm"}}, {Name: "colour", Values: []string{"black"}}},
				Variants: []Variant{
					{SKU: "HAL-SKI-26", Options: map[string]string{"size": "26 cm", "colour": "black"}, Price: eur(4290), Stock: 3},
					{SKU: "HAL-SKI-20", Options: map[string]string{"size": "20 cm", "colour": "black"}, Price: eur(3490)},
				},
			},
			{
				Slug: "lid", Title: "Lid", Brand: "Hallmoor", Category: "cookware", file: "cookware.yaml",
				Description: "Fits the skillet.",
				Variants:    []Variant{{SKU: "HAL-LID", Price: eur(1500), Stock: 7}},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, want := got.Products[0].Image(), "https://images.souk.example/skillet-1.jpg"; got != want {
		t.Errorf("image is %s, want %s", got, want)
	}
	if got, want := got.Levels(), (map[string]int{"HAL-SKI-26": 3, "HAL-SKI-20": 0, "HAL-LID": 7}); !reflect.DeepEqual(got, want) {
		t.Errorf("levels are %v, want %v", got, want)
	}
}

func TestBadDataIsRefusedWithFileAndProduct(t *testing.T) {
	const in = `cookware.yaml: product "lid": `
	for name, c := range map[string]struct {
		file, old, new string
		want           string // part of the error
	}{
		"an unknown key":               {"cookware.yaml", "slug: lid", "slug: lid\n    weight: 3", "cookware.yaml: line 15: field weight not found"},
		"a repeated key":               {"cookware.yaml", "slug: lid", "slug: lid\n    title: Cover", "cookware.yaml: line 16: mapping key \"title\" already defined"},
		"a second document":            {"cookware.yaml", "category: cookware", "category: cookware\n---\n", "cookware.yaml: there is a second document"},
		"an empty file":                {"garden.yaml", "", "", "garden.yaml: the file is empty"},
		"no YAML":                      {"garden.yaml", "", "a: [", "garden.yaml: line 1: did not find"},
		"text for a list":              {"garden.yaml", "", "category: garden\nproducts: none", "garden.yaml: line 2: cannot unmarshal !!str `none`"},
		"a file of another name":       {"rakes.yaml", "", "category: garden", `rakes.yaml: category is "garden", but a file is named after its category`},
		"an unknown category":          {"rakes.yaml", "", "category: rakes\n" + aProduct, `rakes.yaml: product "rake": there is no category "rakes" in categories.yaml`},
		"a category that is no leaf":   {"home.yaml", "", "category: home\n" + aProduct, `home.yaml: product "rake": category "home" has subcategories`},
		"a slug of another file":       {"garden.yaml", "", "category: garden\n" + strings.ReplaceAll(aProduct, "rake", "lid"), `garden.yaml: product "lid": the slug is taken by a product in cookware.yaml`},
		"a SKU of another product":     {"cookware.yaml", "HAL-LID", "HAL-SKI-20", in + `SKU "HAL-SKI-20" is taken by product "skillet"`},
		"a SKU twice in a product":     {"cookware.yaml", "HAL-SKI-20", "HAL-SKI-26", `product "skillet": SKU "HAL-SKI-26" is taken by product "skillet"`},
		"a SKU with a comma":           {"cookware.yaml", "sku: HAL-LID", "sku: 'HAL,LID'", in + `SKU "HAL,LID" must be`},
		"a slug in capitals":           {"cookware.yaml", "slug: lid", "slug: Lid", `product "Lid": the slug must be`},
		"a format verb in a slug":      {"cookware.yaml", "slug: lid", "slug: l%d", `product "l%d": the slug must be`},
		"a category twice":             {"categories.yaml", "slug: garden", "slug: home", `categories.yaml: category "home": the slug is there twice`},
		"a category without a name":    {"categories.yaml", "name: Garden", "name: ''", `categories.yaml: category "garden": the name is missing`},
		"a category with a bad slug":   {"categories.yaml", "slug: garden", "slug: Garden!", `categories.yaml: category "Garden!": the slug must be`},
		"a field of a category":        {"categories.yaml", "name: Garden", "name: Garden, icon: x", `categories.yaml: line 5: field icon not found`},
		"no title":                     {"cookware.yaml", "title: Lid", "title:", in + "the title is missing"},
		"no brand":                     {"cookware.yaml", "title: Lid\n    brand: Hallmoor", "title: Lid", in + "the brand is missing"},
		"no description":               {"cookware.yaml", "description: Fits the skillet.", "description: ' '", in + "the description is missing"},
		"an attribute in capitals":     {"cookware.yaml", "material:", "Material:", `attribute "Material" must be named in lower-case`},
		"an attribute without a value": {"cookware.yaml", "material: cast iron", "material: ~", `attribute "material" must be`},
		"no variants":                  {"cookware.yaml", "[{sku: HAL-LID, price: 1500, stock: 7}]", "[]", in + "there must be at least one variant"},
		"no price":                     {"cookware.yaml", "price: 1500, ", "", in + "variant HAL-LID: price must be"},
		"a price of 0":                 {"cookware.yaml", "price: 1500", "price: 0", in + "variant HAL-LID: price must be"},
		"a negative price":             {"cookware.yaml", "price: 1500", "price: -1500", in + "variant HAL-LID: price must be"},
		"a price in euros":             {"cookware.yaml", "price: 1500", "price: 15.00", `cookware.yaml: line 18: "15.00" is not a whole number`},
		"an octal price":               {"cookware.yaml", "price: 1500", "price: 01500", `"01500" is not a whole number`},
		"a price in words":             {"cookware.yaml", "price: 1500", "price: cheap", `"cheap" is not a whole number`},
		"a price beyond 64 bits":       {"cookware.yaml", "price: 1500", "price: 99999999999999999999", "is not a whole number"},
		"no stock":                     {"cookware.yaml", ", stock: 7", "", in + "variant HAL-LID: stock must be"},
		"negative stock":               {"cookware.yaml", "stock: 7", "stock: -7", in + "variant HAL-LID: stock must be"},
		"an unknown currency":          {"cookware.yaml", "category: cookware", "category: cookware\ncurrency: euro", in + `the file's currency "euro" is no ISO 4217 code`},
		"an option that is missing":    {"cookware.yaml", "size: 20 cm, ", "", "variant HAL-SKI-20: size is missing"},
		"a value that is not offered":  {"cookware.yaml", "size: 20 cm", "size: 22 cm", `variant HAL-SKI-20: size is "22 cm", which is not one of ["26 cm" "20 cm"]`},
		"a value that nobody has":      {"cookware.yaml", "[26 cm, 20 cm]", "[26 cm, 20 cm, 30 cm]", `no variant has size "30 cm"`},
		"a value twice":                {"cookware.yaml", "[black]", "[black, black]", `option "colour" has the value "black" twice`},
		"an option without values":     {"cookware.yaml", "[black]", "[]", `option "colour" has no values`},
		"an option twice":              {"cookware.yaml", "colour: [black]", "size: [black]", `cookware.yaml: line 10: mapping key "size" already defined`},
		"a key that is no option":      {"cookware.yaml", "sku: HAL-LID", "sku: HAL-LID, size: big", in + `variant HAL-LID: "size" is no option of the product`},
		"the same combination twice":   {"cookware.yaml", "size: 20 cm", "size: 26 cm", "variants HAL-SKI-26 and HAL-SKI-20 have the same options (size=26 cm, colour=black)"},
		"variants without options":     {"cookware.yaml", "[{sku: HAL-LID,", "[{sku: HAL-LID-2, price: 1, stock: 0}, {sku: HAL-LID,", in + "variants HAL-LID-2 and HAL-LID have the same options"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fixture(t)
			text := aFile(files, c.file)
			if c.old != "" && !strings.Contains(text, c.old) {
				t.Fatalf("the fixture has no %q", c.old)
			}
			files[c.file] = &fstest.MapFile{Data: []byte(strings.Replace(text, c.old, c.new, 1))}
			got, err := load(files)
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got:\n%v\nwant in it: %s", err, c.want)
			}
			if strings.Contains(err.Error(), "seed.") {
				t.Errorf("names a Go type: %v", err)
			}
		})
	}
}

const aProduct = `products:
  - {slug: rake, title: Rake, brand: Fern, description: For leaves., variants: [{sku: FER-RAK, price: 1, stock: 0}]}`

func fixture(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{categoriesFile, "cookware.yaml"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "shop", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: raw}
	}
	return files
}

func aFile(files fstest.MapFS, name string) string {
	if f := files[name]; f != nil {
		return string(f.Data)
	}
	return ""
}

func TestAllProblemsAreSaidAtOnce(t *testing.T) {
	files := fixture(t)
	text := strings.NewReplacer("price: 1500", "price: 0", "stock: 3", "stock: -3", "brand: Hallmoor", "brand: ''").Replace(aFile(files, "cookware.yaml"))
	files["cookware.yaml"] = &fstest.MapFile{Data: []byte(text)}
	files["garden.yaml"] = &fstest.MapFile{Data: []byte("oops")}
	_, err := load(files)
	if err == nil {
		t.Fatal("accepted")
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 5 {
		t.Errorf("%d lines, want 5:\n%v", len(lines), err)
	}
}

func TestWithoutATreeThereIsNoCatalogue(t *testing.T) {
	if _, err := load(fstest.MapFS{}); err == nil || !strings.Contains(err.Error(), categoriesFile) {
		t.Errorf("got %v, want an error that names %s", err, categoriesFile)
	}
}
