"""The crew: worker processes of jobs, who attends them, and what is told of them."""
