"""Symbols: what venues call an instrument, and its unified form."""
