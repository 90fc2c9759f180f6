"""The demo: one user links accounts through both providers, over HTTP alone, and sees one portfolio."""
