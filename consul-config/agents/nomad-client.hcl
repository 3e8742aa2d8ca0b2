# The token of a Nomad client: it registers itself and removes services whose allocation is gone.
# Services are registered with the workload's token, not with this one.

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}

service "nomad-client" {
  policy = "write"
}
