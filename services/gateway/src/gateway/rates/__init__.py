"""Exchange rates: where they come from, and what is asked of whoever gives them."""
