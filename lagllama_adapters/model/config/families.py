"""The families of heads by their names."""

from dataclasses import replace

from lagllama_adapters.model.config.head import (
    HeadConfig,
    NormalConfig,
    QuantileConfig,
    StudentTConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.model.config.reshaping import (
    FlowConfig,
    ImplicitQuantileConfig,
    NegativeBinomialConfig,
    ReshapingConfig,
)

__all__ = ["FAMILIES", "successor_config"]

FAMILIES: dict[str, type[HeadConfig]] = {
    config.family: config
    for config in (
        StudentTConfig,
        NormalConfig,
        QuantileConfig,
        StudentTMixtureConfig,
        NegativeBinomialConfig,
        ImplicitQuantileConfig,
        FlowConfig,
    )
}
"""Configuration of each family by its name."""


def successor_config(old: HeadConfig, head: str | HeadConfig) -> ReshapingConfig:
    """Configuration of a head that takes the place of another one, and starts from it.

    Parameters
    ----------
    old : HeadConfig
        Which becomes the reference; of one that reshapes another, that one.
    head : str or HeadConfig
        A family that reshapes a reference, or a configuration of one without a reference; its
        ``block_length`` and ``copula``, if they are the defaults, become those of the old one.

    Raises
    ------
    ValueError
        For anything else, with the families that there are.
    """
    names = [name for name, kind in FAMILIES.items() if issubclass(kind, ReshapingConfig)]
    kind = FAMILIES.get(head) if isinstance(head, str) else type(head)
    if kind is None or not issubclass(kind, ReshapingConfig):
        got = head if isinstance(head, str) else type(head).__name__
        raise ValueError(f"head: got {got!r}, expected one of {names}, or a configuration of one")
    chosen = kind() if isinstance(head, str) else head
    assert isinstance(chosen, ReshapingConfig)
    if chosen.reference is not None:
        raise ValueError("head: got a configuration with a reference, expected one without")
    reference = old.reference if isinstance(old, ReshapingConfig) else old
    if reference is None:
        raise ValueError(
            f"head: got weights whose head is of the family {old.family!r} without a reference, "
            "from which no other family starts; expected weights of another family"
        )
    if chosen.block_length not in (1, reference.block_length):
        raise ValueError(
            f"head: got block_length={chosen.block_length}, expected {reference.block_length}, "
            "that of the weights"
        )
    unset = chosen.copula == kind().copula
    copula = getattr(old, "copula", chosen.copula) if unset else chosen.copula
    block = reference.block_length
    return replace(chosen, block_length=block, copula=copula, reference=reference)
