# notifications: asks users for an address, as events carry none.

key "souk/${environment}/notifications" {
  policy = "read"
}

# Its own entry: who may call it (intentions) is read with it.
service "notifications" {
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

# An instance's address is its node's.
node_prefix "" {
  policy = "read"
}
