# The token of a Nomad client. Services are registered with the workload's token, which ends with the
# allocation; so it is the client's own that removes them from Consul.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "write"
}
