# gateway: routes to whichever services its table names, so it may find them all.

key "souk/${environment}/gateway" {
  policy = "read"
}

# Instances and their health, and the splitter, resolver and intention entries of each.
service_prefix "" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}
