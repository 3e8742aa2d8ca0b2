package eventstest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Proxy stands between clients and a broker, so that Kafka can go away for them alone.
// The broker tells its clients where it is; on the way the address becomes the
// proxy's, which has the same length: a port is four bytes in Kafka's protocol.
type Proxy struct {
	t       testing.TB
	broker  string
	real    []byte // host and port as answers have them
	ours    []byte
	Addr    string
	mu      sync.Mutex
	listen  net.Listener
	cut     bool
	clients map[net.Conn]bool
}

// NewProxy starts one that ends with the test.
func NewProxy(t testing.TB, broker string) *Proxy {
	t.Helper()
	host, port, err := net.SplitHostPort(broker)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, broker: broker, real: wire(t, host, port), clients: map[net.Conn]bool{}, Addr: net.JoinHostPort(host, "0")}
	p.Mend()
	_, port, err = net.SplitHostPort(p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p.ours = wire(t, host, port)
	t.Cleanup(p.Cut)
	return p
}

func wire(t testing.TB, host, port string) []byte {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.AppendUint32([]byte(host), uint32(n))
}

// Mend lets clients connect, again.
func (p *Proxy) Mend() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.Addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.listen, p.Addr, p.cut = l, l.Addr().String(), false
	p.mu.Unlock()
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
}

// Cut ends all connections and takes no others until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	_ = p.listen.Close()
	for c := range p.clients {
		_ = c.Close()
	}
	clear(p.clients)
}

func (p *Proxy) serve(client net.Conn) {
	broker, err := net.Dial("tcp", p.broker)
	if err != nil {
		_ = client.Close()
		return
	}
	defer broker.Close()
	defer client.Close()
	p.mu.Lock()
	cut := p.cut
	if !cut {
		p.clients[client], p.clients[broker] = true, true
	}
	p.mu.Unlock()
	if cut {
		return
	}
	defer func() {
		p.mu.Lock()
		delete(p.clients, client)
		delete(p.clients, broker)
		p.mu.Unlock()
	}()
	go func() {
		defer broker.Close()
		defer client.Close()
		_, _ = io.Copy(broker, client)
	}()
	// Answers are length-prefixed; they go on one by one, with the address replaced.
	for {
		var size [4]byte
		if _, err := io.ReadFull(broker, size[:]); err != nil {
			return
		}
		answer := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
		copy(answer, size[:])
		if _, err := io.ReadFull(broker, answer[4:]); err != nil {
			return
		}
		if _, err := client.Write(bytes.ReplaceAll(answer, p.real, p.ours)); err != nil {
			return
		}
	}
}
