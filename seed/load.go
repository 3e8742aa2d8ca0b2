package seed

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"souk/internal/money"
)

//go:embed data/*.yaml
var data embed.FS

// categoriesFile is the tree; every other file has the products of one leaf.
const categoriesFile = "categories.yaml"

// defaultCurrency is that of a file that names none.
const defaultCurrency = "EUR"

// Load reads and checks the embedded data. The error has a line for every problem,
// each with the file and, where there is one, the product.
func Load() (Catalogue, error) {
	files, err := fs.Sub(data, "data")
	if err != nil {
		return Catalogue{}, err
	}
	return load(files)
}

func load(files fs.FS) (Catalogue, error) {
	var c Catalogue
	if err := decode(files, categoriesFile, &c.Categories); err != nil {
		return Catalogue{}, err
	}
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return Catalogue{}, err
	}
	var problems []error
	for _, name := range names {
		if name == categoriesFile {
			continue
		}
		var f productFile
		if err := decode(files, name, &f); err != nil {
			problems = append(problems, err)
			continue
		}
		if leaf := strings.TrimSuffix(name, path.Ext(name)); f.Category != leaf {
			problems = append(problems, fmt.Errorf("%s: category is %q, but a file is named after its category", name, f.Category))
			continue
		}
		c.Products = append(c.Products, f.products(name)...)
	}
	problems = append(problems, c.check()...)
	if len(problems) > 0 {
		return Catalogue{}, errors.Join(problems...)
	}
	return c, nil
}

// productFile is data/<leaf-slug>.yaml.
type productFile struct {
	Category string
	Currency string // ISO 4217; EUR if absent
	Products []productEntry
}

type productEntry struct {
	Slug, Title, Brand, Description string
	Attributes                      map[string]string
	Options                         optionList
	Variants                        []variantEntry
}

type variantEntry struct {
	SKU     string
	Price   *whole            // minor units
	Stock   *whole            // pieces
	Options map[string]string `yaml:",inline"` // every other key
}

func (f productFile) products(file string) []Product {
	currency := f.Currency
	if currency == "" {
		currency = defaultCurrency
	}
	products := make([]Product, 0, len(f.Products))
	for _, e := range f.Products {
		p := Product{
			Slug: e.Slug, Title: e.Title, Brand: e.Brand, Description: strings.TrimSpace(e.Description),
			Category: f.Category, Attributes: e.Attributes, Options: e.Options, file: file,
		}
		for _, v := range e.Variants {
			p.Variants = append(p.Variants, Variant{
				SKU: v.SKU, Options: v.Options, Stock: int(v.Stock.or(-1)),
				Price: money.Amount{Minor: v.Price.or(0), Currency: currency},
			})
		}
		products = append(products, p)
	}
	return products
}

// whole is an integer as people write it. The YAML library alone would cut 34.90 to
// 34 and read 010 as 8.
type whole int64

func (w *whole) UnmarshalYAML(n *yaml.Node) error {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || n.ShortTag() != "!!int" || strconv.FormatInt(i, 10) != n.Value {
		return fmt.Errorf("line %d: %q is not a whole number", n.Line, n.Value)
	}
	*w = whole(i)
	return nil
}

// or is the number, or what stands for one that is missing.
func (w *whole) or(missing int64) int64 {
	if w == nil {
		return missing
	}
	return int64(*w)
}

// optionList is a mapping whose order counts.
type optionList []Option

func (l *optionList) UnmarshalYAML(n *yaml.Node) error {
	values := map[string][]string{} // also refuses repeated names
	if err := n.Decode(&values); err != nil {
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		*l = append(*l, Option{Name: name, Values: values[name]})
	}
	return nil
}

// decode reads a file that is one YAML document; unknown and repeated keys are errors.
func decode(files fs.FS, name string, into any) error {
	raw, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: the file is empty", name)
		}
		return fmt.Errorf("%s: %w", name, readable(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: there is a second document after `---`", name)
	}
	return nil
}

var goType = regexp.MustCompile(` (in type|into) [\[\]*a-z]*seed\.\w+`)

// readable is the YAML library's error on one line, without names of Go types.
func readable(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if te := (*yaml.TypeError)(nil); errors.As(err, &te) {
		text = strings.Join(te.Errors, "; ")
	}
	return errors.New(goType.ReplaceAllString(text, ""))
}
