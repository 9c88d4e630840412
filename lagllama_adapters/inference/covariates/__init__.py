"""Effects of covariates, estimated in closed form from the histories that are forecast.

The network reads the series without the effect, which is added to its paths again. Reading order:
`columns` makes numbers of what users give, `design` features of columns, `noise_model` whitens,
`ridge` estimates, `weight` decides how much of it is believed, `regression` puts them together for
series of one kind at a time, and `effects` for a panel. What series have in common is found
beside it: `static` and `pooled_design` make features, `pooled_sample` puts series side by side,
`pooled_parts` estimates, `strength` says how series differ, `pool` puts them together.
"""
