"""What Onefolio services say to each other: values, messages, ports and error codes.

Every type is a frozen ``msgspec.Struct``: one definition is the Python type, the wire format and the
source of the JSON Schemas. This package imports nothing of ours.
"""
