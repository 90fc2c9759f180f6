"""Link-time routing: which provider links an institution, and why. Pure."""
