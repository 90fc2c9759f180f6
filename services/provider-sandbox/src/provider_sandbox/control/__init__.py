"""The control API: a loopback tool that sets scenarios; no part of any provider."""
