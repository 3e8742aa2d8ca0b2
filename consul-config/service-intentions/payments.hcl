# The checkout pays by events; the gateway also brings in the providers' webhooks.
Kind = "service-intentions"
Name = "payments"
Sources = [
  { Name = "gateway", Action = "allow" },
]
