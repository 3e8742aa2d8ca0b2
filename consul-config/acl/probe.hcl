# probe: shows what every service may do, no more.

key "souk/${environment}/probe" {
  policy = "read"
}

# Its own entry: who may call it (intentions) is read with it.
service "probe" {
  policy = "read"
}

service "postgres" {
  policy = "read"
}

# Where the keys of users' tokens are.
service "users" {
  policy = "read"
}

# An instance's address is its node's.
node_prefix "" {
  policy = "read"
}
