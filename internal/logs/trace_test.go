package logs

import (
	"strings"
	"testing"
)

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestATraceparentIsReadAsTheW3CSays(t *testing.T) {
	tr, ok := ParseTraceparent(parent)
	if !ok || tr.Traceparent() != parent || tr.TraceID() != parent[3:35] || tr.SpanID() != parent[36:52] || tr.Flags != 1 {
		t.Errorf("%+v, %v", tr, ok)
	}
	for text, flags := range map[string]byte{
		parent[:53] + "00": 0, parent[:53] + "ff": 1, parent[:53] + "02": 0,
		"01" + parent[2:]: 1, "01" + parent[2:] + "-what-the-future-brings": 1, "fe" + parent[2:]: 1,
	} {
		if tr, ok := ParseTraceparent(text); !ok || tr.Flags != flags {
			t.Errorf("%q: %+v, %v", text, tr, ok)
		}
	}
	for _, bad := range []string{
		"", "00", parent[:54], parent + "0", parent + "-00", "ff" + parent[2:], "01" + parent[2:] + "x", " " + parent, parent + " ",
		strings.ToUpper(parent), strings.Replace(parent, "4bf9", "4BF9", 1), strings.Replace(parent, "4bf9", "4bg9", 1), strings.ReplaceAll(parent, "-", "_"),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "0x" + parent[2:], parent[:53] + "zz",
	} {
		if tr, ok := ParseTraceparent(bad); ok {
			t.Errorf("%q was read as %+v", bad, tr)
		}
	}
}

func TestNewTracesAndSpansDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		tr := NewTrace()
		child := tr.Child()
		if _, ok := ParseTraceparent(tr.Traceparent()); !ok || child.ID != tr.ID || child.Span == tr.Span {
			t.Fatalf("%+v, %+v", tr, child)
		}
		seen[tr.TraceID()], seen[tr.SpanID()], seen[child.SpanID()] = true, true, true
	}
	if len(seen) != 3000 {
		t.Errorf("%d of 3000 differ", len(seen))
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(parent)
	f.Add("01" + parent[2:] + "-x")
	f.Fuzz(func(t *testing.T, text string) {
		if tr, ok := ParseTraceparent(text); ok {
			if again, ok := ParseTraceparent(tr.Traceparent()); !ok || again != tr {
				t.Errorf("%q: %+v, %+v", text, tr, again)
			}
		}
	})
}
