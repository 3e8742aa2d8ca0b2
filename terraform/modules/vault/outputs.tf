output "services" {
  description = "Services that have a policy, a login role and a PKI role."
  value       = sort(local.services)
}
