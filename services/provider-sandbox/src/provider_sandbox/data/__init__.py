"""The sandbox's invented institutions, securities, accounts and logins, as plain values."""
