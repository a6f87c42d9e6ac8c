"""The registry room: what we keep, and what is served from it."""
