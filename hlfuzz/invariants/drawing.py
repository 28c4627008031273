"""Batches of values that Hypothesis draws: a seed gives the same ones, and nothing is kept on disk."""

from __future__ import annotations

from functools import cached_property
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.internal.constants_ast import Constants
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


class _OwnConstants(HypothesisProvider):
    """Hypothesis's own way to draw, without the constants in the source of every loaded Python module.

    Those say nothing about a guest, make cases depend on what else is loaded, take seconds to collect in a
    large program, and are cached in the working directory.
    """

    @cached_property
    def _local_constants(self) -> Constants:
        return Constants()


AVAILABLE_PROVIDERS["hlfuzz"] = _OwnConstants


def drawn(strategy: SearchStrategy[T], number: int, count: int) -> list[T]:
    """Up to `count` values of a strategy; the same `number` gives the same values."""
    found: list[T] = []

    @seed(number)
    @settings(
        max_examples=count,
        backend="hlfuzz",
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=tuple(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    @given(strategy)
    def collect(value: T) -> None:
        found.append(value)

    collect()
    return found
