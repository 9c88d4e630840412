"""The lags that make up a token."""

__all__ = ["BLOCK_LAGS", "PUBLISHED_LAGS"]

PUBLISHED_LAGS: tuple[int, ...] = (
    *(0, 7, 8, 10, 11, 12, 13, 14, 19, 20, 21, 22, 23, 24, 26, 27, 28, 29, 30, 34, 35, 36),
    *(46, 47, 48, 50, 51, 52, 55, 57, 58, 59, 60, 61, 70, 71, 72, 83, 94, 95, 96),
    *(102, 103, 104, 117, 118, 119, 120, 121, 142, 143, 144, 154, 155, 156, 166, 167, 168),
    *(177, 178, 179, 180, 181, 334, 335, 336, 362, 363, 364, 502, 503, 504),
    *(670, 671, 672, 718, 719, 720, 726, 727, 728, 1090, 1091, 1092),
)
"""The 84 zero-based lags of the published Lag-Llama (0 is the value of the step itself).

Union of GluonTS' default lags of quarterly to secondly series, minus one (arXiv 2310.08278, 3.1;
listed in the configuration of the published checkpoint).
"""

BLOCK_LAGS: tuple[int, ...] = (
    *range(33),
    *(35, 36, 38, 40, 42, 44, 46, 47, 48, 50, 51, 52, 54, 56, 58, 59, 60, 64, 68, 71, 72),
    *(76, 80, 83, 84, 88, 92, 95, 96, 104, 108, 112, 116, 119, 120, 128, 132, 136, 140, 143, 144),
    *(148, 152, 156, 160, 164, 167, 168, 180, 191, 192, 216, 240, 252, 264, 276, 287, 288),
    *(300, 312, 324, 335, 336, 350, 357, 360, 364, 365, 432, 480, 503, 504, 576),
    *(624, 648, 671, 672, 719, 720, 729, 730, 840, 1007, 1008, 1092),
)
"""Lags for tokens that emit a whole block of future steps.

A block of P steps needs, for a season s, the values at lags s-P .. s-1, not only at s: hence every
recent lag, and for each common season (7, 12, 24, 48, 52, 96, 144, 168, 288, 336, 365, 672, 1008)
a coarse ladder that leads up to it; attention over neighbouring tokens fills in between.
"""
