package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Check is the outcome of one look at the machine.
type Check struct {
	Name    string
	Found   string // what is there, if it serves
	Problem string // else what to do, as one sentence
}

// Prerequisites looks for what Souk can't bring itself: Go and a JDK always;
// Maven and a C compiler while servers are to be built or fetched.
func Prerequisites(ctx context.Context) []Check {
	return []Check{GoCheck(ctx), Java(ctx), mavenCheck(ctx), compilerCheck(ctx)}
}

var goVersion = regexp.MustCompile(`go1\.(\d+)`)

// GoCheck looks for the go command.
func GoCheck(ctx context.Context) Check {
	const todo = "install Go 1.26 or newer"
	c := programCheck(ctx, "Go", todo, "go", "version")
	if m := goVersion.FindStringSubmatch(c.Found); c.Problem == "" && m != nil {
		if minor, _ := strconv.Atoi(m[1]); minor < 26 {
			c = Check{Name: c.Name, Problem: fmt.Sprintf("%s is too old: %s", c.Found, todo)}
		}
	}
	return c
}

func mavenCheck(ctx context.Context) Check {
	return programCheck(ctx, "Maven", "install Maven 3.6 or newer: it fetches PostgreSQL, Kafka, Elasticsearch and the MongoDB-wire server", "mvn", "--version")
}

func compilerCheck(ctx context.Context) Check {
	return programCheck(ctx, "C compiler", "install gcc or clang (Debian: apt-get install gcc libc6-dev): Nomad is built with it", compiler(), "--version")
}

func compiler() string {
	if cc := os.Getenv("CC"); cc != "" {
		return cc
	}
	for _, name := range []string{"gcc", "clang"} {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return "cc"
}

var ansi = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func programCheck(ctx context.Context, name, todo, program string, args ...string) Check {
	path, err := exec.LookPath(program)
	if err != nil {
		return Check{Name: name, Problem: fmt.Sprintf("%s (%s) is not on PATH: %s", name, program, todo)}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).Output()
	if err != nil {
		return Check{Name: name, Problem: fmt.Sprintf("%s does not run (%v): %s", path, err, todo)}
	}
	first, _, _ := strings.Cut(ansi.ReplaceAllString(string(out), ""), "\n")
	return Check{Name: name, Found: first}
}

var javaVersion = regexp.MustCompile(`version "(\d+)[^"]*"`)

// JavaPath is the java program: $JAVA_HOME's, else the one on PATH; empty if
// there is none. Whether it serves, Java tells.
func JavaPath() string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", "java")
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return ""
	}
	return path
}

// Java checks the program at JavaPath, which starts it twice. Elasticsearch 7.17
// needs Java's security manager, which is gone from JDK 24 on.
func Java(ctx context.Context) (check Check) {
	const todo = "install a JDK from 17 to 23 (Debian: apt-get install openjdk-17-jdk-headless) or point JAVA_HOME at one"
	check.Name = "JDK"
	path := JavaPath()
	if path == "" {
		check.Problem = "java is not on PATH: " + todo
		return check
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		check.Problem = fmt.Sprintf("%s does not run (%v): %s", path, err, todo)
		return check
	}
	m := javaVersion.FindSubmatch(out)
	if m == nil {
		check.Problem = fmt.Sprintf("%s does not tell its version: %s", path, todo)
		return check
	}
	if major, _ := strconv.Atoi(string(m[1])); major < 17 || major > 23 {
		check.Problem = fmt.Sprintf("%s is Java %d: %s", path, major, todo)
		return check
	}
	modules, err := exec.CommandContext(ctx, path, "--list-modules").Output()
	if err != nil || !strings.Contains(string(modules), "jdk.compiler@") {
		check.Problem = fmt.Sprintf("%s belongs to a runtime without a compiler: %s", path, todo)
		return check
	}
	check.Found, _, _ = strings.Cut(string(out), "\n")
	return check
}
