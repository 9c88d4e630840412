"""Paths that are joint across the series of a group.

The network reads series one by one. How their errors hang together is estimated from its own
forecasts of the history, and decides which path of one series goes with which path of another: at
each step the values of a series stay the same, and only change places among its paths.
"""
