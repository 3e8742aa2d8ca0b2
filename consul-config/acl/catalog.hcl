# catalog: MongoDB and Kafka; verifies tokens with the keys of users.

key "souk/${environment}/catalog" {
  policy = "read"
}

# Its own entry: who may call it (intentions) is read with it.
service "catalog" {
  policy = "read"
}

service "mongo" {
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
