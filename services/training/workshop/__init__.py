"""The workshop: units of a run as plain data, who fits them where, and what is kept of them."""
