"""What a leak audit found: its checks, its findings, and how both are printed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

STAGES = ("data", "prepare", "split", "fit", "forecast", "dataset", "network", "encoder")
PASSED, LEAK, OPEN = "passed", "leak", "open"
LIMITS = "This tests, it does not prove: see docs/leak-audit.md for what it cannot see."


@dataclass(frozen=True)
class Finding:
    """One place where a forecast could have seen the future.

    effect: its size; what it is measured in stands in `detail`.
    """

    stage: str
    check: str
    column: Hashable = None
    series: Any = None
    first_time: Any = None
    effect: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        where = [
            f"column {self.column!r}" if self.column is not None else "",
            f"series {self.series!r}" if self.series is not None else "",
            f"first at {self.first_time}" if self.first_time is not None else "",
            f"effect {self.effect:.3g}" if self.effect is not None else "",
        ]
        return f"{self.stage}: {self.check}: " + ", ".join(part for part in [*where, self.detail] if part)


@dataclass(frozen=True)
class Check:
    """One question that an audit put, how many alterations or columns it tried, and what it found.

    open: why nothing can be concluded; empty where something can.  note: what was tried, or what it means.
    """

    stage: str
    name: str
    tried: int = 1
    findings: tuple[Finding, ...] = ()
    note: str = ""
    open: str = ""

    @property
    def verdict(self) -> str:
        """`passed`, `leak`, or `open` where nothing can be concluded."""
        return LEAK if self.findings else OPEN if self.open else PASSED


@dataclass(frozen=True)
class AuditResult:
    """The outcome of an audit; `+` joins two.

    Example:
        >>> clean, leaky = Check("data", "columns"), Check("split", "rows", findings=(Finding("split", "rows", "y"),))
        >>> AuditResult((clean,)).passed, (AuditResult((clean,)) + AuditResult((leaky,))).passed
        (True, False)
    """

    outcomes: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check could be concluded and found nothing."""
        return all(check.verdict == PASSED for check in self.outcomes)

    @property
    def findings(self) -> pd.DataFrame:
        """One row per finding, in the order of the stages: stage, check, column, series, first_time, effect, detail."""
        rows = [finding for check in self._ordered() for finding in check.findings]
        names = [field.name for field in fields(Finding)]
        columns = {name: pd.Series([getattr(row, name) for row in rows], dtype=object) for name in names}
        return pd.DataFrame(columns).astype({"effect": float})

    @property
    def checks(self) -> pd.DataFrame:
        """One row per check, those that found nothing too: stage, check, verdict, tried, note."""
        rows = [(c.stage, c.name, c.verdict, c.tried, c.open or c.note) for c in self._ordered()]
        return pd.DataFrame(rows, columns=["stage", "check", "verdict", "tried", "note"])

    def __add__(self, other: AuditResult) -> AuditResult:
        return AuditResult((*self.outcomes, *other.outcomes))

    def __str__(self) -> str:
        return "\n".join([self._headline(), *self._check_lines(), *self._finding_lines(), LIMITS])

    def _ordered(self) -> list[Check]:
        return sorted(self.outcomes, key=lambda check: STAGES.index(check.stage))

    def _headline(self) -> str:
        found = sum(len(check.findings) for check in self.outcomes)
        undecided = sum(check.verdict == OPEN for check in self.outcomes)
        parts = [f"{len(self.outcomes)} checks", _counted(found)]
        return "Leak audit: " + ", ".join([*parts, *([f"{undecided} open"] if undecided else [])])

    def _check_lines(self) -> Iterable[str]:
        for check in self._ordered():
            remark = check.open or check.note
            yield f"  {check.verdict:<6}  {check.stage:<8}  {check.name} (tried {check.tried})" + (
                f": {remark}" if remark else ""
            )

    def _finding_lines(self) -> list[str]:
        lines = [f"  {finding}" for check in self._ordered() for finding in check.findings]
        return ["Where it enters, first stage first:", *lines] if lines else []


def _counted(found: int) -> str:
    return "no leak found" if not found else "1 finding" if found == 1 else f"{found} findings"
