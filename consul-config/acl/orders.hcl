# orders: prices come from catalog, replies of inventory and payments through Kafka.

key "souk/${environment}/orders" {
  policy = "read"
}

# Its own entry: who may call it (intentions) is read with it.
service "orders" {
  policy = "read"
}

service "postgres" {
  policy = "read"
}

service "kafka" {
  policy = "read"
}

service "users" {
  policy = "read"
}

service "catalog" {
  policy = "read"
}

# An instance's address is its node's.
node_prefix "" {
  policy = "read"
}
