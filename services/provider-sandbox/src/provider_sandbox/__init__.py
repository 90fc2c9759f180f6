"""An imitation of SnapTrade and Plaid in their true wire formats."""
