"""From a trained network to a map."""
