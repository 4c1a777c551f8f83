"""Masks, spectra, projections: what is done to a cube before anything is learned."""
