# A person on call: all of the above, plus nodes (drain), allocations and the cluster's own settings.
namespace "*" {
  policy = "write"
}

agent {
  policy = "write"
}

operator {
  policy = "write"
}

node {
  policy = "write"
}

node_pool "*" {
  policy = "write"
}

host_volume "*" {
  policy = "write"
}
