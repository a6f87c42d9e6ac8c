"""One client per room: DataFrames in, DataFrames out, refusals raised as the rooms raised them."""
