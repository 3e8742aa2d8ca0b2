# Sees jobs, allocations and nodes. No logs and no files: those can hold customers' data.
namespace "*" {
  capabilities = ["list-jobs", "read-job", "read-job-scaling", "list-scaling-policies", "read-scaling-policy"]
}

agent {
  policy = "read"
}

node {
  policy = "read"
}

node_pool "*" {
  policy = "read"
}
