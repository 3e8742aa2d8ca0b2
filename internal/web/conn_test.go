package web

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// connected is one connection as the server has it, idle after an answer, and the client's end.
func connected(t *testing.T) (*conn, *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	cs := &connections{change: func(int) {}}
	c := &conn{Conn: nc, conns: cs, writeTimeout: time.Second, idle: true, since: time.Now().Add(-time.Hour)}
	cs.add(c)
	c.wrote.Store(true)
	t.Cleanup(c.abort)
	return c, client.(*net.TCPConn)
}

func TestARequestThatHasArrivedIsReadAlthoughTheDrainCameFirst(t *testing.T) {
	c, client := connected(t)
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the bytes' arrival", func() bool { return pending(c.Conn) })
	c.interrupt(time.Minute)
	b := make([]byte, 16)
	if n, err := c.Read(b); string(b[:n]) != "hello" || err != nil {
		t.Fatalf("%q, %v", b[:n], err)
	}
	c.setIdle(false) // as fasthttp tells with the first byte
	c.interrupt(0)
	if _, err := io.WriteString(client, " world"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); string(b[:n]) != " world" || err != nil {
		t.Errorf("the rest: %q, %v", b[:n], err)
	}
}

func TestAnIdleConnectionEndsAtOnceWhenTheDrainComes(t *testing.T) {
	c, client := connected(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	c.interrupt(time.Minute)
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server reads %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v", err)
	}
}

func TestTheDrainSparesConnectionsInUse(t *testing.T) {
	for name, prepare := range map[string]func(*conn){
		"busy":           func(c *conn) { c.setIdle(false) },
		"idle just now":  func(c *conn) { c.setIdle(true) },
		"new":            func(c *conn) { c.wrote.Store(false); c.setIdle(true) },
		"leaving itself": func(c *conn) { c.drain = leaving },
	} {
		c, client := connected(t)
		prepare(c)
		c.interrupt(time.Minute)
		if _, err := io.WriteString(client, "x"); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestAnotherTimeoutIsNotTakenForTheDrain(t *testing.T) {
	c, client := connected(t)
	_ = c.SetReadDeadline(time.Unix(1, 0))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	_ = client.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client reads %v, want nothing yet", err)
	}
}
