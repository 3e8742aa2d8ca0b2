# search: Elasticsearch and Kafka; verifies tokens with the keys of users.

key "souk/${environment}/search" {
  policy = "read"
}

# Its own entry: who may call it (intentions) is read with it.
service "search" {
  policy = "read"
}

service "elasticsearch" {
  policy = "read"
}

service "kafka" {
  policy = "read"
}

service "users" {
  policy = "read"
}

# An instance's address is its node's.
node_prefix "" {
  policy = "read"
}
