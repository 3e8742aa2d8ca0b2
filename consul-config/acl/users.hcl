# users: PostgreSQL and Kafka.

key "souk/${environment}/users" {
  policy = "read"
}

# Its own entry: who may call it (intentions) is read with it.
service "users" {
  policy = "read"
}

service "postgres" {
  policy = "read"
}

service "kafka" {
  policy = "read"
}

# An instance's address is its node's.
node_prefix "" {
  policy = "read"
}
