"""Snapshots: aligned frames in files that never change."""
