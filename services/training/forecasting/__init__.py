"""Forecasts: what a job will take, from what fits cost on this host."""
