"""Migrations from every version of the checkpoint format to the present one, step by step.

A step converts the configuration and tensors of one version to the next. The result of the last
step is read strictly. Steps never change once a version is released: files of every version must
load forever.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

__all__ = [
    "FORMAT_VERSION",
    "MIGRATIONS",
    "regroup",
    "upgrade_config",
    "upgrade_tensors",
    "version_of",
    "version_of_tensors",
    "with_version",
]

_Value = TypeVar("_Value")
Config = dict[str, Any]

_GROUPS_OF_2 = {
    "inputs": (
        "lags_seq",
        "time_feat",
        "scaling",
        "scale_floor",
        "imputation",
        "observed_indicators",
        "input_transform",
        "scale_features",
        "season_features",
    ),
    "decoder": (
        "n_layer",
        "n_head",
        "n_embd_per_head",
        "mlp_multiple_of",
        "rope_scaling",
        "context_length",
        "max_context_length",
        "attention_window",
    ),
    "sampling": ("rescaling", "path_stride"),
}
# Fields of the first version's heads, and their names in the second one.
_HEADS_OF_2: dict[str, tuple[str, dict[str, str]]] = {
    "student_t": ("student_t", {}),
    "normal": ("normal", {}),
    "quantile_block": (
        "quantile",
        {
            "block_copula": "copula",
            "lag_experts": "lag_experts",
            "quantile_levels": "quantile_levels",
            "head_gain": "gain",
        },
    ),
    "student_t_mixture": (
        "student_t_mixture",
        {
            "block_copula": "copula",
            "lag_experts": "lag_experts",
            "mixture_components": "components",
            "mixture_min_scale": "min_scale",
        },
    ),
}
_HEAD_FIELDS_OF_1 = (
    "head",
    "block_length",
    "quantile_levels",
    "mixture_components",
    "mixture_min_scale",
    "block_copula",
    "lag_experts",
    "head_gain",
)

# What version 1 had in the fields of other families than the head's own.
_UNSET_OF_1: dict[str, tuple[Any, ...]] = {
    "quantile_levels": ([], ()),
    "mixture_components": (0,),
    "mixture_min_scale": (1e-3,),
    "block_copula": ([0.0, 0.0, 0.0], (0.0, 0.0, 0.0)),
    "lag_experts": (0,),
    "head_gain": (False,),
}

# Of these no family has such a value.
_NEVER_UNSET = ("quantile_levels", "mixture_components")


def _group_fields(config: Config) -> Config:
    """From version 1, whose fields are flat, to 2."""
    names = [name for group in _GROUPS_OF_2.values() for name in group]
    expected = {*names, *_HEAD_FIELDS_OF_1}
    unknown, missing = sorted(set(config) - expected), sorted(expected - set(config))
    if unknown or missing:
        raise ValueError(
            f"configuration of format version 1: unknown keys {unknown}, missing keys {missing}; "
            "it was edited by hand"
        )
    if not isinstance(config["head"], str) or config["head"] not in _HEADS_OF_2:
        raise ValueError(
            f"configuration of format version 1: head: got {config['head']!r}, expected one of "
            f"{tuple(_HEADS_OF_2)}"
        )
    return regroup(config)


def regroup(entries: Mapping[str, Any]) -> Config:
    """Put entries of a configuration of version 1, all or some of them, into groups.

    Parameters
    ----------
    entries : mapping
        Flat. Entries that are no fields of version 1 stay where they are.

    Returns
    -------
    dict
        With the groups that entries belong to.
    """
    head = entries.get("head")
    family, renamed = _HEADS_OF_2.get(head, (head, {})) if isinstance(head, str) else (None, {})
    if family is None:  # of whatever family
        renamed = {old: new for _, own in _HEADS_OF_2.values() for old, new in own.items()}
    home = {name: (group, name) for group, own in _GROUPS_OF_2.items() for name in own}
    home |= {old: ("head", new) for old, new in renamed.items()}
    home |= {"block_length": ("head", "block_length")}
    grouped: Config = {}
    for name, value in entries.items():
        applies = name in home if family is not None else name not in _NEVER_UNSET
        if not applies and value in _UNSET_OF_1.get(name, ()):
            continue  # it said that the field does not apply
        if name == "head" and isinstance(value, str):
            grouped.setdefault("head", {})["family"] = family
        elif name in home:
            group, new = home[name]
            grouped.setdefault(group, {})[new] = value
        elif name in _HEAD_FIELDS_OF_1 and name != "head":
            grouped.setdefault("head", {})[name] = value  # which strict reading refuses
        else:
            grouped[name] = value
    return grouped


def _name_the_projection(name: str) -> str:
    """From version 1 to 2: a head's weights are those of its projection."""
    prefix, dot, rest = name.partition("head.")
    return f"head.projection.{rest}" if dot and not prefix else name


# Fields that version 3 added, and the values that describe weights from before.
_ADDED_IN_3: dict[str, Config] = {
    "inputs": {"input_limit": None, "season_reach": 0, "repeat_features": []},
    "sampling": {"exact_constants": False, "path_bounds": False},
}
_ADDED_TO_QUANTILES_IN_3: Config = {
    "tails": "exponential",
    "copy_experts": [],
    "spread_references": False,
    "weigh_records": False,
    "climatology": False,
}


def _add_seasons(config: Config) -> Config:
    """From version 2 to 3, whose weights may measure seasons."""
    upgraded = {name: dict(group) for name, group in config.items() if isinstance(group, Mapping)}
    added = dict(_ADDED_IN_3)
    if upgraded.get("head", {}).get("family") == "quantile":
        added["head"] = _ADDED_TO_QUANTILES_IN_3
    for name, values in added.items():
        group = upgraded.setdefault(name, {})
        _refuse_early(2, name, group, values)
        group.update(values)
    return {**config, **upgraded}


def _refuse_early(version: int, name: str, group: Mapping[str, Any], added: Config) -> None:
    """Refuse a group that has fields which its version did not know."""
    early = sorted(set(group) & set(added))
    if early:
        raise ValueError(
            f"configuration of format version {version}: unknown keys {early} in {name}; it was "
            "edited by hand"
        )


def _add_doubt(config: Config) -> Config:
    """From version 3 to 4, whose quantile heads may weigh records by the state."""
    return _add_to_quantiles(3, config, {"doubt_by_state": False})


def _add_to_quantiles(version: int, config: Config, added: Config) -> Config:
    """From a version to the next, in quantile heads and those that reshape one."""
    head = config.get("head")
    if not isinstance(head, Mapping):
        return config

    def upgraded(head: Mapping[str, Any]) -> Config:
        if head.get("family") != "quantile":
            return dict(head)
        _refuse_early(version, "head", head, added)
        return {**head, **added}

    own = upgraded(head)
    if isinstance(head.get("reference"), Mapping):
        own["reference"] = upgraded(head["reference"])
    return {**config, "head": own}


def _add_context_stride(config: Config) -> Config:
    """From version 4 to 5, whose context may skip tokens; `copy_experts` may name further ones."""
    return _add_to_sampling(4, config, {"context_stride": 1, "dense_context": 1})


def _add_to_sampling(version: int, config: Config, added: Config) -> Config:
    sampling = config.get("sampling")
    if not isinstance(sampling, Mapping):
        return config
    _refuse_early(version, "sampling", sampling, added)
    return {**config, "sampling": {**sampling, **added}}


def _add_evidence(config: Config) -> Config:
    """From version 5 to 6, which may measure how much evidence there is, and bound spreads."""
    upgraded = _add_to_quantiles(5, config, {"independent_evidence": False})
    return _add_to_sampling(5, upgraded, {"bounded_spread": False})


def _same_name(name: str) -> str:
    return name


MIGRATIONS: dict[int, tuple[Callable[[Config], Config], Callable[[str], str]]] = {
    1: (_group_fields, _name_the_projection),
    2: (_add_seasons, _same_name),
    3: (_add_doubt, _same_name),
    4: (_add_context_stride, _same_name),
    5: (_add_evidence, _same_name),
}
"""By version: what makes the next version's configuration, and its name of a tensor."""

FORMAT_VERSION = max(MIGRATIONS) + 1
"""The version that is written."""


def with_version(config: Mapping[str, Any]) -> Config:
    """Give a configuration as it is stored everywhere, together with its version.

    Parameters
    ----------
    config : mapping
        ``LagLlamaConfig.to_dict()``.
    """
    return {"format_version": FORMAT_VERSION, "config": dict(config)}


def version_of(kept: Mapping[str, Any]) -> Any:
    """Version of a stored configuration; version 1 stored flat fields without a version."""
    return kept.get("format_version", 1)


def version_of_tensors(names: Iterable[str]) -> int:
    """Version of tensors without a configuration, as Darts passes them, inferred from their names.

    2 for those of later versions too, whose names are alike.
    """
    return 1 if any(_name_the_projection(n) != n and ".projection." not in n for n in names) else 2


def upgrade_config(kept: Mapping[str, Any]) -> Config:
    """Bring a configuration to the present version.

    Parameters
    ----------
    kept : mapping
        As of `with_version`, or the flat fields of version 1.

    Returns
    -------
    dict
        For ``LagLlamaConfig.from_dict``, which checks it.

    Raises
    ------
    ValueError
        If the version is not known, or the configuration is not one of its version.
    """
    version = version_of(kept)
    _check_version(version)
    upgraded = dict(kept["config"] if "format_version" in kept else kept)
    for old in range(version, FORMAT_VERSION):
        upgraded = MIGRATIONS[old][0](upgraded)
    return upgraded


def upgrade_tensors(tensors: Mapping[str, _Value], version: int) -> dict[str, _Value]:
    """Give tensors their present names.

    Parameters
    ----------
    tensors : mapping
        By their names in ``version``.
    version : int
        Of the configuration that they belong to.

    Raises
    ------
    ValueError
        If the version is not known.
    """
    _check_version(version)
    renamed = dict(tensors)
    for old in range(version, FORMAT_VERSION):
        renamed = {MIGRATIONS[old][1](name): tensor for name, tensor in renamed.items()}
    return renamed


def _check_version(version: object) -> None:
    is_version = isinstance(version, int) and not isinstance(version, bool)
    if is_version and 1 <= version <= FORMAT_VERSION:  # type: ignore[operator]
        return
    if is_version and version > FORMAT_VERSION:  # type: ignore[operator]
        raise ValueError(
            f"got format_version {version}, expected at most {FORMAT_VERSION}; the checkpoint was "
            "written by a newer version of lagllama-adapters: upgrade it"
        )
    raise ValueError(f"got format_version {version!r}, expected 1 to {FORMAT_VERSION}")
