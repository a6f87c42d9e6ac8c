"""Queries: stored rows as they were known, alone, resampled and aligned."""
