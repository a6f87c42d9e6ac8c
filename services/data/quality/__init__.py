"""Quality: what is wrong or doubtful in rows, and what could be done about it."""
