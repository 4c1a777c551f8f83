"""Rivals on the same split: what an elaborate model must beat. Light to import: neither torch nor scikit-learn before a row is asked for."""
