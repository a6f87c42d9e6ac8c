"""The wire as both sides see it: channels, Arrow frames, and refusals that travel as status codes."""
