# The token of a Nomad server: it registers itself. Workloads bring tokens of their own, so it can't
# make any.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service "nomad" {
  policy = "write"
}
