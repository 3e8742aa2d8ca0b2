# Whoever verifies a user's token fetches the keys here; notifications asks for an address.
Kind = "service-intentions"
Name = "users"
Sources = [
  { Name = "gateway", Action = "allow" },
  { Name = "catalog", Action = "allow" },
  { Name = "inventory", Action = "allow" },
  { Name = "notifications", Action = "allow" },
  { Name = "orders", Action = "allow" },
  { Name = "payments", Action = "allow" },
  { Name = "search", Action = "allow" },
]
