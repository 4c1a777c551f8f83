"""A run folder, the process that trains in it, and the process that computes for the window."""
