"""The host's data as the panel that all parts of the package below the adapters take."""

from typing import Any

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.sktime.host import FRAMES, convert_to
from lagllama_adapters.sktime.past_data import PastData

__all__ = ["frame_panel"]


def frame_panel(y: Any) -> Panel:
    """Series, panels and hierarchies of sktime as univariate series.

    Parameters
    ----------
    y : pd.Series, pd.DataFrame or another container of sktime
        Of scitype Series, Panel or Hierarchical. NaN = missing.

    Returns
    -------
    Panel
        One series per instance and column, instances outermost and in the order of their first
        rows, each from its first observed value on, gaps filled with NaN.

    Raises
    ------
    TypeError
        If it is none of sktime's containers.
    ValueError
        For series without observed values and for time stamps that are not evenly spaced.
    """
    past = PastData.from_frame(convert_to(y, to_type=FRAMES))
    past.check()
    return past.with_frequency(None).panel()
