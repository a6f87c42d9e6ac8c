"""The data room: candles, funding rates and open interest. What happened, and when it was known."""
