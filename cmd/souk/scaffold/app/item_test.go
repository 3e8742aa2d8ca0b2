package app

import (
	"strings"
	"testing"
	"time"

	"souk/internal/errs"
)

func TestANewItemIsVersionOne(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 987_654_321, time.FixedZone("", 3600))
	item, err := NewItem("Lamp", now)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 3, 1, 11, 0, 0, 987_000_000, time.UTC)
	if item.Version != 1 || item.Name != "Lamp" || item.CreatedAt != want || item.UpdatedAt != want || item.ID.Version() != 7 {
		t.Errorf("got %+v", item)
	}
}

func TestEachRenameIsAVersion(t *testing.T) {
	item, err := NewItem("Lamp", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	later := item.CreatedAt.Add(time.Hour)
	if err := item.Rename("Lantern", later); err != nil || item.Version != 2 || item.Name != "Lantern" || item.UpdatedAt != later {
		t.Errorf("got %+v, %v", item, err)
	}
	before := item
	if err := item.Rename("Lantern", later.Add(time.Hour)); err != nil || item != before {
		t.Errorf("the name it has makes %+v, %v", item, err)
	}
	if err := item.Rename("", later); errs.KindOf(err) != errs.Unprocessable || item != before {
		t.Errorf("no name makes %+v, %v", item, err)
	}
}

func TestNamesAreOneLine(t *testing.T) {
	for _, name := range []string{"a", "Ünïcödé", strings.Repeat("ö", MaxName)} {
		if _, err := NewItem(name, time.Now()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", " ", " a", "a\u00a0", "a\nb", "a\x00b", strings.Repeat("ö", MaxName+1)} {
		if _, err := NewItem(name, time.Now()); errs.KindOf(err) != errs.Unprocessable {
			t.Errorf("%q: %v", name, err)
		}
	}
}
