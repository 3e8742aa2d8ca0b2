package web_test

import (
	"bufio"
	"io"
	"strings"
)

// readEvents reads server-sent events until the stream ends.
func readEvents(from io.Reader, each func(id, name string)) {
	var id, name string
	for lines := bufio.NewScanner(from); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "":
			if name != "" {
				each(id, name)
			}
			name = ""
		}
	}
}
