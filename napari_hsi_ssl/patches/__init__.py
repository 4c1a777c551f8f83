"""Where the patches are and how they are split."""
