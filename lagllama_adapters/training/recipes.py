"""What a pretraining run depends on besides its data: stock recipes, files of settings."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from lagllama_adapters.checkpoints.migrations import regroup
from lagllama_adapters.data.synthetic import SyntheticPriors
from lagllama_adapters.model import BLOCK_LAGS, LagLlamaConfig
from lagllama_adapters.model.config import (
    FAMILIES,
    DecoderConfig,
    HeadConfig,
    InputConfig,
    QuantileConfig,
    SamplingConfig,
)
from lagllama_adapters.training.loop import LoopSettings
from lagllama_adapters.training.optimization import OptimizerSettings
from lagllama_adapters.training.precision import Precision
from lagllama_adapters.training.windows.settings import PLAIN_WINDOWS, WindowSettings

__all__ = [
    "PRESETS",
    "RECIPES",
    "PretrainSettings",
    "read_settings",
    "settings_to_dict",
    "settings_to_yaml",
]

_INNER_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_LEVELS = (0.005, 0.01, 0.025, *_INNER_LEVELS, 0.975, 0.99, 0.995)

_BASE = LagLlamaConfig(
    inputs=InputConfig(
        lags_seq=BLOCK_LAGS,
        scale_floor="cascade",
        imputation="scaled_zero",
        observed_indicators=True,
        input_transform="asinh",
        input_limit=5.0,
        scale_features="shape",
        season_features=(1, 4, 5, 7, 12, 24, 30, 48, 52, 96, 144, 168, 288, 336, 365, 672),
        season_reach=17_664,  # two years of hours
    ),
    decoder=DecoderConfig(
        n_layer=5,
        n_head=12,
        mlp_multiple_of=64,
        context_length=64,
        max_context_length=1024,
        attention_window=96,
    ),
    head=QuantileConfig(
        block_length=48,
        quantile_levels=_LEVELS,
        lag_experts=16,
        gain=True,
        tails="normal_asinh",
        copy_experts=(
            "last",
            "two",
            "four",
            "eight",
            "sixteen",
            "smooth",
            "narrow",
            "drift",
            "level_four",
            "step",
            "level_eight",
            "proven",
            "lately",
        ),
        spread_references=True,
        weigh_records=True,
        doubt_by_state=True,
        independent_evidence=True,
        climatology=True,
    ),
    sampling=SamplingConfig(
        path_stride=16,
        context_stride=4,
        dense_context=24,
        exact_constants=True,
        path_bounds=True,
        bounded_spread=True,
    ),
)

PRESETS: dict[str, LagLlamaConfig] = {
    "base": _BASE,
    "tiny": _BASE.replace(
        n_layer=2,
        n_head=4,
        n_embd_per_head=8,
        block_length=24,
        lag_experts=4,
        path_stride=12,
    ),
    "published": LagLlamaConfig(),
}
"""Architectures by name; "published" is the network of the paper, with its Student-t head."""


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(LoopSettings):
    """Everything that a run depends on besides its data; saved beside the weights.

    Parameters
    ----------
    model : LagLlamaConfig
        Architecture.
    optimizer : OptimizerSettings
        Optimizer and length of the run.
    windows : WindowSettings
        Sampling and augmentation.
    synthetic_series : int
        Synthetic series that are drawn before training, for ``windows.synthetic_share``.
    synthetic : SyntheticPriors
        What they are drawn from.
    batch_size, rollout_length, history_discount, gradient_clip, ema_decay, validate_every, \
precision
        See `LoopSettings`.
    batches_per_step : int
        Batches whose gradients a step averages. Several processes share the batches of a step, one
        process takes them one after the other.
    seed : int
        Seed of initial weights and windows.
    checkpoint_every : int
        Steps between checkpoints.
    compiled : bool
        Whether training steps run through `torch.compile`, which pays on a GPU.
    initial_weights : str or None
        Checkpoint to go on from, as for `load_pretrained`; its architecture must be ``model``. The
        optimizer and the schedule start anew. None: random weights, drawn with ``seed``.
    trained : tuple of str
        Shell patterns of the names of the parameters that are trained (``*expert_gate*``), as
        for fine-tuning; others stay as they were. None given: all.

    Raises
    ------
    ValueError
        See `LoopSettings`; or if another count is not a positive integer.
    """

    model: LagLlamaConfig = _BASE
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    windows: WindowSettings = field(default_factory=WindowSettings)
    synthetic_series: int = 40_000
    synthetic: SyntheticPriors = field(default_factory=SyntheticPriors)
    batch_size: int = 48
    batches_per_step: int = 1
    ema_decay: float = 0.999
    checkpoint_every: int = 200
    validate_every: int = 1000
    precision: Precision = "float32"
    compiled: bool = False
    initial_weights: str | None = None
    trained: tuple[str, ...] = ()

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a step of training, of all processes together."""
        tokens = self.model.context_length + self.rollout_length
        return tokens * self.batch_size * self.batches_per_step

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_counts("batches_per_step", "checkpoint_every")


_FEW_EPOCHS = WindowSettings(
    synthetic_share=0.2,
    mix=0.1,
    resample=0.15,
    far_rollout=0.08,
    long_lead=0.2,
)
# A long run sees each slow series thousands of times: more that is made, and more changes.
_MANY_EPOCHS = replace(
    _FEW_EPOCHS,
    synthetic_share=0.25,
    mix=0.2,
    modulate=0.12,
    spike=0.03,
    censor=0.05,
    round=0.02,
)

# Up to 25 days of minutes or three years of hours, in which seasons of thousands of steps come
# round, and more series whose right forecast is known.
_PRIORS = SyntheticPriors()
_LONG_SERIES = replace(
    _PRIORS,
    lengths=_PRIORS.lengths
    | {"minutely": (200, 36_000), "quarter-hourly": (200, 36_000), "hourly": (100, 30_000)},
    family_weights=_PRIORS.family_weights | {"gaussian": 4.5},
)

_STOCK = PretrainSettings(
    optimizer=OptimizerSettings(name="muon", steps=9_600, decay_steps=2_000),
    windows=_MANY_EPOCHS,
    precision="bfloat16",
    validate_every=2000,
)

RECIPES: dict[str, PretrainSettings] = {
    "base": _STOCK,
    "tiny": replace(
        _STOCK,
        model=PRESETS["tiny"],
        windows=_FEW_EPOCHS,
        optimizer=OptimizerSettings(
            name="muon", learning_rate=4e-3, steps=8_000, decay_steps=2_400
        ),
    ),
    "gpu": replace(
        _STOCK,
        optimizer=replace(_STOCK.optimizer, learning_rate=4e-3, steps=3_000, decay_steps=900),
        batch_size=1_024,
        ema_decay=0.995,
        checkpoint_every=500,
        validate_every=4_000,
        compiled=True,
    ),
    "continued": replace(
        _STOCK,
        optimizer=replace(_STOCK.optimizer, learning_rate=8e-4, steps=3_000, decay_steps=900),
        windows=replace(
            _MANY_EPOCHS,
            synthetic_share=0.3,
            far_rollout=0.1,
            long_lead=0.12,
            long_lead_length=17_664,
        ),
        synthetic=_LONG_SERIES,
        batch_size=128,
        ema_decay=0.998,
        initial_weights="base",
    ),
    "published": PretrainSettings(
        model=PRESETS["published"],
        optimizer=OptimizerSettings(
            learning_rate=1e-4,
            weight_decay=0.0,
            betas=(0.9, 0.999),
            steps=128_000,
            warmup_steps=0,
            decay_steps=0,
        ),
        windows=replace(
            PLAIN_WINDOWS,
            max_rollout=0,
            freq_mask_rate=0.5,
            freq_mix_rate=0.25,
            freq_published=0.5,
        ),
        batch_size=256,
        rollout_length=0,
        history_discount=0.0,
        gradient_clip=None,
        ema_decay=0.0,
    ),
}
"""Whole settings by name.

"gpu", and then "continued", made "base" of the package, "tiny" its "tiny", which then went on
with windows of "continued" (docs/explanation/experiments.md). "base" trains the
architecture of the first from random weights on a CPU, in small batches; "continued" goes on from
the weights in the package, at a fifth of the rate of "gpu". "published" follows arXiv 2310.08278
and the pretraining script beside it: Adam at a constant rate, 128 batches an epoch for up to 1000
epochs (early stopping is left out), windows of a context of 32 and one step more.
"""


def settings_to_dict(settings: PretrainSettings) -> dict[str, Any]:
    """Plain numbers, texts, lists and dicts, as in YAML and JSON."""
    values = asdict(settings) | {"model": settings.model.to_dict()}
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def settings_to_yaml(settings: PretrainSettings) -> str:
    """A file for `read_settings`."""
    # Numbers in rows: default_flow_style None writes innermost lists on one line.
    return str(yaml.safe_dump(settings_to_dict(settings), sort_keys=False, default_flow_style=None))


def read_settings(source: str | Path) -> PretrainSettings:
    """A stock recipe, or a YAML or JSON file.

    Parameters
    ----------
    source : str or path
        A key of `RECIPES`, or a file with fields of `PretrainSettings`, nested ones as mappings.
        What it leaves out is as in the recipe that its entry ``recipe`` names (default: base). The
        ``pretrain.json`` of a run can be read too.

    Raises
    ------
    FileNotFoundError
        If there is neither a recipe nor a file of that name.
    ValueError
        If the file is no YAML, or an entry is unknown or of the wrong type or value; the message
        names it.
    """
    if str(source) in RECIPES:
        return RECIPES[str(source)]
    if not Path(source).is_file():
        raise FileNotFoundError(f"{source}: expected a file or one of the recipes {[*RECIPES]}")
    try:
        entries = yaml.safe_load(Path(source).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{source}: not readable as YAML: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{source}: got {type(entries).__name__}, expected entries 'name: value'")
    recipe = entries.pop("recipe", "base")
    if recipe not in RECIPES:
        raise ValueError(f"{source}: recipe: got {recipe!r}, expected one of {[*RECIPES]}")
    entries.pop("format_version", None)  # of a pretrain.json, whose settings have their own form
    if isinstance(entries.get("model"), Mapping):  # whose fields had no groups in version 1
        entries["model"] = regroup(entries["model"])
    try:
        settings: PretrainSettings = _changed(RECIPES[recipe], entries, "")
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return settings


def _changed(base: Any, entries: Mapping[str, Any], prefix: str) -> Any:
    """A dataclass with some fields replaced, nested ones field by field."""
    if isinstance(base, HeadConfig):
        entries = dict(entries)
        base = _family(base, entries.pop("family", base.family), prefix)
    hints, names = get_type_hints(type(base)), [f.name for f in fields(base)]
    unknown = [f"{prefix}{name}" for name in entries if name not in names]
    if unknown:
        raise ValueError(f"got the unknown entries {unknown}, expected some of {names}")
    changes = {}
    for name, value in entries.items():
        old = getattr(base, name)
        if is_dataclass(old) and isinstance(value, Mapping):
            changes[name] = _changed(old, value, f"{prefix}{name}.")
        else:
            changes[name] = _typed(value, hints[name], f"{prefix}{name}")
    return replace(base, **changes)


def _family(head: HeadConfig, name: Any, prefix: str) -> Any:
    """The head itself, or one of another family that keeps what both have."""
    if not isinstance(name, str) or name not in FAMILIES:
        raise ValueError(f"{prefix}family: got {name!r}, expected one of {[*FAMILIES]}")
    if name == head.family:
        return head
    kind = FAMILIES[name]
    one_step = {f.name for f in fields(kind)} == {"block_length"}
    shared = {f.name for f in fields(kind)} & {f.name for f in fields(head)}
    return kind() if one_step else kind(**{key: getattr(head, key) for key in shared})


def _typed(value: Any, hint: Any, name: str) -> Any:
    """A value of YAML as the type that a field declares: lists become tuples."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in parts:
            return None
        (hint,) = (part for part in parts if part is not NoneType)
        return _typed(value, hint, name)
    if origin is tuple and isinstance(value, list):
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) == len(value):
            return tuple(_typed(v, kind, name) for v, kind in zip(value, kinds, strict=True))
    if origin is dict and isinstance(value, dict):
        return {str(key): _typed(v, parts[1], f"{name}.{key}") for key, v in value.items()}
    if origin is Literal and value in parts:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    text = hint.__name__ if isinstance(hint, type) and origin is None else str(hint)
    expected = text.replace("typing.", "")
    advice = "; YAML reads 1e-3 as text: write 1.0e-3" if isinstance(value, str) else ""
    raise ValueError(f"{name}: got {value!r}, expected {expected}{advice}")
