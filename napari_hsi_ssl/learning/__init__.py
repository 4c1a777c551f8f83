"""The networks and the one loop that trains them; the first room that knows torch."""
