"""Who calls: bearer tokens of users, checked against a development secret or an OIDC issuer."""
