# The token of a Vault server: it registers the service vault with its state (active, standby, sealed).

agent_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service "vault" {
  policy = "write"
}

session_prefix "" {
  policy = "write"
}
