# A PostgreSQL user for each lease. Nothing in Vault or in the state is a PostgreSQL password.

locals {
  # A service has a database if its policy lets it have a user there.
  databases = toset([for service in local.services : service
  if strcontains(file("${var.policies_dir}/${service}.hcl"), "\"database/creds/${service}\"")])
}

resource "vault_mount" "database" {
  path        = "database"
  type        = "database"
  description = "Dynamic PostgreSQL users"
}

resource "vault_database_secret_backend_connection" "postgres" {
  backend       = vault_mount.database.path
  name          = "postgres"
  plugin_name   = "postgresql-database-plugin"
  allowed_roles = sort(local.databases)
  # PostgreSQL is a Nomad job and starts after this apply.
  verify_connection = false

  # Vault hashes a new user's password itself, so that PostgreSQL never sees it in a statement.
  data = { password_authentication = "scram-sha-256" }

  # Vault's own defaults, written out: left out they would show as a change in every plan.
  postgresql {
    connection_url          = var.postgres_connection_url
    max_open_connections    = 4
    max_idle_connections    = 2
    max_connection_lifetime = 300
  }
}

resource "vault_database_secret_backend_role" "service" {
  for_each    = local.databases
  backend     = vault_mount.database.path
  name        = each.key
  db_name     = vault_database_secret_backend_connection.postgres.name
  default_ttl = try(var.database_leases[each.key].default_ttl, 3600)
  max_ttl     = try(var.database_leases[each.key].max_ttl, 86400)

  # Every session acts as the stable owner from its first statement, so that what it creates outlives
  # the user and dropping the user never fails on an object it owns.
  creation_statements = [
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE \"${each.key}_owner\";",
    "ALTER ROLE \"{{name}}\" SET role = '${each.key}_owner';",
  ]

  # VALID UNTIL stops new logins only; sessions that are open must be ended, and before the user is
  # dropped, as they can't be told by its name afterwards.
  revocation_statements = [
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';",
    "DROP ROLE IF EXISTS \"{{name}}\";",
  ]

  renew_statements = ["ALTER ROLE \"{{name}}\" VALID UNTIL '{{expiration}}';"]
}
