"""The training room: labels, splits, models, and scores worth believing."""
