"""Which series of a panel belong together."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

from lagllama_adapters.data.panel import Panel

__all__ = ["groups_of", "with_groups"]


def with_groups(panel: Panel, groups: Sequence[Hashable] | None, *, joint: bool) -> Panel:
    """Name the groups of the series of a panel.

    Parameters
    ----------
    panel : Panel
        Series.
    groups : sequence of hashable, optional
        One for each; None: the panel as it is.
    joint : bool
        Whether they matter.

    Raises
    ------
    ValueError
        If they do not matter, are not as many as the series, or series have groups already.
    """
    if groups is None:
        return panel
    if not joint:
        raise ValueError("groups: got some with joint=False, expected joint=True, or None")
    if isinstance(groups, str) or len(groups) != len(panel):
        got = repr(groups) if isinstance(groups, str) else f"{len(groups)} groups"
        raise ValueError(f"groups: got {got} for {len(panel)} series, expected one for each")
    if any(series.group is not None for series in panel):
        raise ValueError("groups: got some beside a panel whose series have their own")
    return Panel(tuple(replace(one, group=own) for one, own in zip(panel, groups, strict=True)))


def groups_of(panel: Panel) -> list[list[int]]:
    """Rows of each group of at least two series, in the order in which groups first appear.

    Parameters
    ----------
    panel : Panel
        Series; those without a group form one together.

    Raises
    ------
    ValueError
        If series of a group do not end at the same time.
    """
    found: dict[Hashable, list[int]] = {}
    for row, series in enumerate(panel):
        found.setdefault(series.group, []).append(row)
    groups = [rows for rows in found.values() if len(rows) > 1]
    for rows in groups:
        _check_ends(panel, rows)
    return groups


def _check_ends(panel: Panel, rows: Sequence[int]) -> None:
    ends: dict[Any, int] = {}
    for row in rows:
        stamps = panel[row].time_stamps(len(panel[row]) - 1, len(panel[row]))
        if stamps is not None:
            ends.setdefault(stamps[0], row)
    if len(ends) > 1:
        (one, first), (other, second) = list(ends.items())[:2]
        names = [panel[row].item_id or f"number {row}" for row in (first, second)]
        raise ValueError(
            f"joint: got series {names[0]} and {names[1]} of group {panel[first].group!r} that end "
            f"at {one} and {other}, expected one end: steps ahead of a group are the same time; "
            "cut or extend them (NaN = missing), or put them into different groups"
        )
