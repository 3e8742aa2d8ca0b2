package instance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// DefaultPortBase lies below the range that systems hand out to outgoing connections.
const DefaultPortBase = 20000

// portSpan is how many ports from the base on belong to an instance.
const portSpan = 1000

// Ports of an instance; all on loopback.
type Ports struct {
	Base, Gateway                                     int
	ConsulHTTP, ConsulGRPC, ConsulDNS, ConsulSerf     int
	ConsulRPC                                         int
	Vault, VaultCluster                               int
	NomadHTTP, NomadRPC, NomadSerf, NomadClientHTTP   int
	Postgres, Kafka, KafkaController, Mongo           int
	Elasticsearch, ElasticsearchTransport, Prometheus int
	NomadDynamicFirst, NomadDynamicLast               int
}

func portsFrom(base int) Ports {
	return Ports{
		Base: base, Gateway: base,
		ConsulHTTP: base + 10, ConsulGRPC: base + 11, ConsulDNS: base + 12, ConsulSerf: base + 13, ConsulRPC: base + 15,
		Vault: base + 20, VaultCluster: base + 21,
		NomadHTTP: base + 30, NomadRPC: base + 31, NomadSerf: base + 32, NomadClientHTTP: base + 35,
		Postgres: base + 40, Kafka: base + 50, KafkaController: base + 51, Mongo: base + 60,
		Elasticsearch: base + 70, ElasticsearchTransport: base + 71, Prometheus: base + 80,
		NomadDynamicFirst: base + 500, NomadDynamicLast: base + portSpan - 1,
	}
}

// portBase parses SOUK_PORT_BASE; 0 stands for not set.
func portBase(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	base, err := strconv.Atoi(text)
	if err != nil || base < 1024 || base > 65536-portSpan {
		return 0, fmt.Errorf("SOUK_PORT_BASE=%q: give a number from 1024 to %d; an instance takes the %d ports from it on", text, 65536-portSpan, portSpan)
	}
	return base, nil
}

// named lists the fixed ports with what listens on them.
func (p Ports) named() []namedPort {
	return []namedPort{
		{p.Gateway, "gateway"},
		{p.ConsulHTTP, "Consul HTTP"}, {p.ConsulGRPC, "Consul gRPC"}, {p.ConsulDNS, "Consul DNS"}, {p.ConsulSerf, "Consul gossip"}, {p.ConsulRPC, "Consul RPC"},
		{p.Vault, "Vault"}, {p.VaultCluster, "Vault cluster"},
		{p.NomadHTTP, "Nomad HTTP"}, {p.NomadRPC, "Nomad RPC"}, {p.NomadSerf, "Nomad gossip"}, {p.NomadClientHTTP, "Nomad client"},
		{p.Postgres, "PostgreSQL"}, {p.Kafka, "Kafka"}, {p.KafkaController, "Kafka controller"}, {p.Mongo, "MongoDB"},
		{p.Elasticsearch, "Elasticsearch"}, {p.ElasticsearchTransport, "Elasticsearch transport"}, {p.Prometheus, "Prometheus"},
	}
}

type namedPort struct {
	port int
	what string
}

// TakenPorts returns one error a fixed port that something other than this
// instance listens on.
func (in *Instance) TakenPorts() []error {
	var taken []error
	for _, p := range in.Ports.named() {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
		if err == nil {
			l.Close()
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, fmt.Errorf("port %d (%s) cannot be used: %v: set SOUK_PORT_BASE to another range", p.port, p.what, err))
			continue
		}
		owner := listener(p.port)
		if owner != nil && in.owns(owner) {
			continue
		}
		who := "another user's process"
		if owner != nil {
			name, _ := owner.Name()
			who = fmt.Sprintf("process %d (%s)", owner.Pid, name)
		}
		taken = append(taken, fmt.Errorf("port %d (%s) is taken by %s: end that, or set SOUK_PORT_BASE to another range than %d", p.port, p.what, who, in.Ports.Base))
	}
	return taken
}

// listener finds the process that listens on a TCP port, if the caller may see it.
func listener(port int) *process.Process {
	conns, err := psnet.Connections("tcp")
	if err != nil {
		return nil
	}
	for _, c := range conns {
		if c.Status == "LISTEN" && int(c.Laddr.Port) == port && c.Pid != 0 && int(c.Pid) != os.Getpid() {
			if p, err := process.NewProcess(c.Pid); err == nil {
				return p
			}
		}
	}
	return nil
}

// Listening lists the addresses, without ports, that processes of the instance
// listen on with TCP.
func (in *Instance) Listening() ([]string, error) {
	own, err := in.Processes()
	if err != nil {
		return nil, err
	}
	pids := map[int32]bool{}
	for _, p := range own {
		pids[p.Pid] = true
	}
	conns, err := psnet.Connections("tcp")
	if err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	var addrs []string
	for _, c := range conns {
		if c.Status == "LISTEN" && pids[c.Pid] {
			addrs = append(addrs, c.Laddr.IP)
		}
	}
	return addrs, nil
}
