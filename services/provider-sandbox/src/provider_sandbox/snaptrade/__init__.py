"""The SnapTrade face: the provider's wire format, signature, errors, limits, portal and events."""
