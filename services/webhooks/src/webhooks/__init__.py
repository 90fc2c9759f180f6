"""The letter box: takes the providers' webhooks in."""
