"""How good a map or an embedding is."""
