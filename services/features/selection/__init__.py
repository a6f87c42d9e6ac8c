"""The choice among features: which are related to a target, which repeat another, which a model uses.

Everything here sees a matrix of values at the rows it was given, and a target; no other row exists for it.
"""
