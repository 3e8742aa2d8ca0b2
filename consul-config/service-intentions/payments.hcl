# The checkout pays by events; the gateway also brings in the providers' webhooks; reconcile compares.
Kind = "service-intentions"
Name = "payments"
Sources = [
  { Name = "gateway", Action = "allow" },
  { Name = "reconcile", Action = "allow" },
]
