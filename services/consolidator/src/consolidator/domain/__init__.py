"""What is right, and nothing else: pure functions of stored snapshots, decisions and policy."""
