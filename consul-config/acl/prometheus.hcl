# prometheus: finds every target, and scrapes the Consul agents themselves.

service_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

agent_prefix "" {
  policy = "read"
}
