"""Inference: what a table of unknown origin may be."""
