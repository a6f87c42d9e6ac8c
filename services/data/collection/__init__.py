"""Collection: rows from exchanges and from their dump files, once or again and again."""
