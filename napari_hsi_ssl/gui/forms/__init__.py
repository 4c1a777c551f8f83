"""One form a step."""
