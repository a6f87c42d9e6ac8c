"""tsfresh's calculators over rolling windows of the newest bars, at every bar, by compiled kernels.

A feature is called as tsfresh calls it, with its window in front: `w24__close__mean`,
`w24__volume__autocorrelation__lag_3`. Its value at a bar is what tsfresh's calculator gives for the window of
the last so many bars, the current one included; a window that reaches before the first bar or holds a missing
value gives NaN, and so does a calculator that gives no finite number. tsfresh itself is not imported.
"""
