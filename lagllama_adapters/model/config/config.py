"""Frozen facts of a set of weights, in four groups."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

from lagllama_adapters.model.config.checks import require
from lagllama_adapters.model.config.covariates import CovariateConfig
from lagllama_adapters.model.config.decoder import DecoderConfig
from lagllama_adapters.model.config.families import FAMILIES
from lagllama_adapters.model.config.head import HeadConfig, StudentTConfig
from lagllama_adapters.model.config.inputs import InputConfig
from lagllama_adapters.model.config.reshaping import ReshapingConfig
from lagllama_adapters.model.config.sampling import SamplingConfig

__all__ = ["LagLlamaConfig"]

_Group = TypeVar("_Group", InputConfig, DecoderConfig, HeadConfig, SamplingConfig, CovariateConfig)


@dataclass(frozen=True, kw_only=True)
class LagLlamaConfig:
    """Configuration of a set of Lag-Llama weights, saved with them.

    The defaults are those of the published Lag-Llama (arXiv 2310.08278v3 and the configuration in
    its checkpoint). Choices of a caller per forecast (number of paths, seed, device, length of the
    context) are arguments instead.

    Parameters
    ----------
    inputs : InputConfig
        How values become tokens.
    decoder : DecoderConfig
        Sizes, and how much context is read.
    head : HeadConfig
        One of the families: what turns the state of a token into a forecast distribution.
    sampling : SamplingConfig
        How paths continue beyond the block of one token.
    covariates : CovariateConfig or None
        What the weights have learned to read besides the series; None: nothing, and configurations
        are written as if there were no such group.

    Raises
    ------
    ValueError
        If a group is of another type, or groups do not fit each other.

    Examples
    --------
    >>> from lagllama_adapters import LagLlamaConfig
    >>> LagLlamaConfig().replace(n_layer=2, time_feat=False).decoder.n_layer
    2
    """

    inputs: InputConfig = field(default_factory=InputConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    head: HeadConfig = field(default_factory=StudentTConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    covariates: CovariateConfig | None = None

    def __post_init__(self) -> None:
        for name, kind in _GROUPS.items():
            group = getattr(self, name)
            require(isinstance(group, kind), "", name, group, f"a {kind.__name__}")
        valid = self.covariates is None or isinstance(self.covariates, CovariateConfig)
        require(valid, "", "covariates", self.covariates, "a CovariateConfig or None")
        expected = f"one of {[known.__name__ for known in FAMILIES.values()]}"
        require(type(self.head) in FAMILIES.values(), "", "head", self.head, expected)
        stride, block = self.sampling.path_stride, self.head.block_length
        expected = f"1 to block_length ({block})"
        require(stride <= block, "sampling", "path_stride", stride, expected)
        quantiles = self.head.quantiles
        if quantiles is not None:
            experts, tails = quantiles.copy_experts, quantiles.tails
            valid = self.inputs.season_reach > 0 or not experts
            require(valid, "head", "copy_experts", experts, "none where inputs.season_reach is 0")
            valid = self.inputs.input_transform == "asinh" or tails != "normal_asinh"
            require(valid, "head", "tails", tails, "another where input_transform is not asinh")

    def __hash__(self) -> int:
        # The generated one fails for `rope_scaling`, a mapping.
        return hash(repr(self.to_dict()))

    @property
    def lags_seq(self) -> tuple[int, ...]:
        """Lags of a token."""
        return self.inputs.lags_seq

    @property
    def max_lag(self) -> int:
        """The largest lag: values needed before the first token of the context."""
        return self.inputs.max_lag

    @property
    def feature_size(self) -> int:
        """Length of a token."""
        return self.inputs.feature_size

    @property
    def d_model(self) -> int:
        """Width of the decoder."""
        return self.decoder.d_model

    @property
    def context_length(self) -> int:
        """Tokens of context seen in training, and the default at inference."""
        return self.decoder.context_length

    @property
    def max_context_length(self) -> int:
        """The most tokens of context that may be asked for."""
        return self.decoder.max_context_length

    @property
    def block_length(self) -> int:
        """Future steps that one token emits."""
        return self.head.block_length

    def past_length(self, context_length: int | None = None) -> int:
        """Values of history that a forecast from ``context_length`` tokens reads.

        Parameters
        ----------
        context_length : int, optional
            Tokens of context; the trained one if None.
        """
        context = self.context_length if context_length is None else context_length
        return context + self.inputs.reach

    def replace(self, **changes: Any) -> Self:
        """Copy with some fields changed.

        Parameters
        ----------
        **changes
            Whole groups by their names (``head=QuantileConfig(...)``), or fields of groups by
            theirs, which no two groups share (``n_layer=2``).

        Raises
        ------
        TypeError
            If no group has such a field.
        ValueError
            As for the groups.
        """
        groups = {name: changes.pop(name, getattr(self, name)) for name in _GROUPS}
        for name, group in groups.items():
            own = {f.name for f in fields(group)} & set(changes)
            groups[name] = dataclasses.replace(group, **{key: changes.pop(key) for key in own})
        covariates = changes.pop("covariates", self.covariates)
        if changes:
            raise TypeError(f"LagLlamaConfig: got the unknown fields {sorted(changes)}")
        return type(self)(**groups, covariates=covariates)

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-compatible values, by group; ``from_dict`` is the inverse."""
        plain = {
            "inputs": _plain(self.inputs),
            "decoder": _plain(self.decoder),
            "head": _plain_head(self.head),
            "sampling": _plain(self.sampling),
        }
        if self.covariates is not None:
            levels = {name: list(words) for name, words in self.covariates.levels.items()}
            plain["covariates"] = {**_plain(self.covariates), "levels": levels}
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a configuration, strictly.

        Parameters
        ----------
        values : mapping
            Exactly the keys that ``to_dict`` writes; weights without covariates have no group of
            that name. Configurations of earlier versions go through
            ``checkpoints.migrations`` first.

        Raises
        ------
        ValueError
            If a key is unknown or missing (the message names it), or a value is outside its domain.
        """
        _check_keys(values, {*_GROUPS, *({"covariates"} & set(values))}, "")
        for name in values:
            require(isinstance(values[name], Mapping), "", name, values[name], "a mapping")
        covariates = values.get("covariates")
        return cls(
            inputs=_group(InputConfig, values["inputs"]),
            decoder=_group(DecoderConfig, values["decoder"]),
            head=_head(values["head"]),
            sampling=_group(SamplingConfig, values["sampling"]),
            covariates=None if covariates is None else _group(CovariateConfig, covariates),
        )


_GROUPS: dict[str, type[Any]] = {
    "inputs": InputConfig,
    "decoder": DecoderConfig,
    "head": HeadConfig,
    "sampling": SamplingConfig,
}


def _plain(group: Any) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(group).items()
    }


def _plain_head(head: HeadConfig) -> dict[str, Any]:
    plain = {"family": head.family, **_plain(head)}
    if isinstance(head, ReshapingConfig) and head.reference is not None:
        plain["reference"] = _plain_head(head.reference)
    return plain


def _head(values: Mapping[str, Any], depth: int = 0) -> HeadConfig:
    head = dict(values)
    family = head.pop("family", None)
    known = isinstance(family, str) and family in FAMILIES
    require(known, "head", "family", family, f"one of {tuple(FAMILIES)}")
    # One level, as the configurations have it: a hostile file may nest any number.
    if isinstance(head.get("reference"), Mapping) and depth == 0:
        head["reference"] = _head(head["reference"], depth + 1)
    return _group(FAMILIES[family], head)


def _group(kind: type[_Group], values: Mapping[str, Any]) -> _Group:
    _check_keys(values, {f.name for f in fields(kind)}, kind.GROUP)
    arguments: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
    }
    return kind(**arguments)


def _check_keys(values: Mapping[str, Any], names: set[str], group: str) -> None:
    unknown, missing = sorted(set(values) - names), sorted(names - set(values))
    if unknown or missing:
        where = f"LagLlamaConfig.{group}" if group else "LagLlamaConfig"
        raise ValueError(
            f"configuration does not fit {where}: unknown keys {unknown}, missing keys {missing}; "
            "it was written by another version or edited by hand"
        )
