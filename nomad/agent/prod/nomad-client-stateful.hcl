# On top of nomad-client.hcl, for hosts with the databases' disks.

client {
  node_pool = "stateful"

  host_volume "postgres" {
    path = "/srv/souk/postgres"
  }
  host_volume "kafka" {
    path = "/srv/souk/kafka"
  }
  host_volume "mongo" {
    path = "/srv/souk/mongo"
  }
  host_volume "elasticsearch" {
    path = "/srv/souk/elasticsearch"
  }
  host_volume "prometheus" {
    path = "/srv/souk/prometheus"
  }

  # Data can't follow a drain: these hosts are drained by a person.
  drain_on_shutdown {
    deadline           = "0s"
    force              = false
    ignore_system_jobs = true
  }
}
