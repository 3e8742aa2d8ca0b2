//go:build ignore

// This program makes commonpasswords.bin: `go generate ./services/users/app`, or with lists of your own, one password a line,
// `cd services/users/app && go run commonpasswords_gen.go [file ...]`.
//
// The passwords and given names come with github.com/trustelem/zxcvbn (MIT), as they came with Dropbox's zxcvbn (MIT): the most frequent
// of Mark Burnett's ten million passwords, and names of the US census of 1990.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"souk/services/users/app"
)

func main() {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/trustelem/zxcvbn").Output()
	if err != nil {
		log.Fatal(err)
	}
	var all []string
	for _, name := range []string{"passwords", "female_names", "male_names"} { // lines of a word and its count
		for _, line := range lines(filepath.Join(strings.TrimSpace(string(dir)), "data", name+".txt")) {
			word, _, _ := strings.Cut(line, " ")
			all = append(all, word)
		}
	}
	for _, file := range os.Args[1:] {
		all = append(all, lines(file)...)
	}
	list := app.NewCommonPasswords(all)
	out, err := os.Create("commonpasswords.bin")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := list.WriteTo(out); err != nil {
		log.Fatal(err)
	}
	if err := out.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(list.Len(), "entries")
}

func lines(file string) (all []string) {
	f, err := os.Open(file)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		all = append(all, scanner.Text())
	}
	if err := scanner.Err(); err != nil {
		log.Fatal(err)
	}
	return all
}
