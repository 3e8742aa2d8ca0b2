# The token of a Consul agent: it registers its own node and finds the others.

node_prefix "" {
  policy = "write"
}

service_prefix "" {
  policy = "read"
}
