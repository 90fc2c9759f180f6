"""The whole of Onefolio on one machine: servers, migrations and every service under a process runner."""

from local_stack.life import Stack, StackError

__all__ = ["Stack", "StackError"]
