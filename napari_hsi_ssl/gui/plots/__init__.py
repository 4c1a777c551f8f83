"""The plots of the explorer dock."""
