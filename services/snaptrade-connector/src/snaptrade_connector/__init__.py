"""The adapter to SnapTrade."""
