"""The features room: what could be known at a bar, computed from data known at that bar."""
