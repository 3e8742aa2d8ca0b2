# A pipeline: submits, scales and watches jobs; can't enter an allocation, nor touch nodes or volumes.
namespace "souk" {
  capabilities = ["list-jobs", "parse-job", "read-job", "submit-job", "dispatch-job", "scale-job", "read-logs", "read-job-scaling", "list-scaling-policies", "read-scaling-policy"]
}

namespace "infra" {
  capabilities = ["list-jobs", "parse-job", "read-job", "submit-job", "dispatch-job", "scale-job", "read-logs", "read-job-scaling", "list-scaling-policies", "read-scaling-policy"]
}

node {
  policy = "read"
}

host_volume "*" {
  policy = "write"
}
