"""What each part of the floor and of the network does: variants, judged on validation and reported on the test.

    python benchmarks/ablation.py --json benchmarks/results/ablation.json
    python benchmarks/ablation.py --parts network --data ettm1 --steps 600 --keep --json …/ablation.json
    python benchmarks/ablation.py --tables --json …/ablation.json

Four parts: `floor` (long horizons, closed form), `halves` (the same, judged by windows that chose nothing), `network`
(on the floors of ETTm1 and Weather) and `m4` (M4 Weekly); `ablation_floor.py` and `ablation_network.py` say what their
variants are. Validation chooses everything; the test is there to be seen, and chooses nothing. One thread. The page
stands beside the measures, and is made of them alone; `--keep` adds to them, so that parts can be measured one by one.
Data are found through HOURGLASS_TS_DATA, or downloaded.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ablation_floor import QUICK_VARIANTS, VARIANTS, measure_floor, measure_halves
from ablation_network import LONG_VARIANTS, M4_VARIANTS, measure_m4, measure_network
from common import Report, arguments, commit, machine, table, versions

PARTS = ("floor", "halves", "m4", "network")
NETWORK_DATA = ("ettm1", "weather")
QUICK: dict[str, Any] = {
    "data": "etth1",
    "horizons": "96",
    "steps": 12,
    "batch_size": 16,
    "n_series": 40,
    "most_variants": 1,
    "network_data": ("etth1",),
}
GATES = ("floor", "open", "gated")


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    report = Report()
    if options.keep or options.tables:
        report.measures = json.loads(options.json.read_text(encoding="utf-8"))["measures"]
    if not options.tables:
        for done in run(options, report):
            print(f"done {done}", file=sys.stderr, flush=True)
            report.measures = list({measure["name"]: measure for measure in report.measures}.values())
            report.write(options.json)
    made_on = {"machine": machine(), "commit": commit(), "versions": versions()}
    if options.json:
        made_on = json.loads(options.json.read_text(encoding="utf-8"))
    text = page(report.measures, made_on)
    print(text)
    if options.json:
        options.json.with_suffix(".md").write_text(text, encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="which parts to measure, separated by commas")
    parser.add_argument("--data", default="etth1,ettm1,exchange,weather", help="data sets of the floor and network")
    parser.add_argument("--horizons", default="96,192,336,720", help="horizons of the floor; the network's is 96")
    parser.add_argument("--steps", type=int, default=600, help="training steps of every network")
    parser.add_argument("--batch-size", type=int, default=64, help="windows in a step of the part `network`")
    parser.add_argument("--seeds", type=int, default=1, help="seeds of every network")
    parser.add_argument("--keep", action="store_true", help="add to the measures that the file of --json has")
    parser.add_argument("--tables", action="store_true", help="measure nothing; make the page of that file")
    options = parser.parse_args()
    if (options.keep or options.tables) and not options.json:
        parser.error("--keep and --tables need the file of --json")
    vars(options).update(n_series=None, most_variants=None, network_data=NETWORK_DATA)
    if options.quick:
        vars(options).update(QUICK)
    return options


def run(options: argparse.Namespace, report: Report) -> Iterator[str]:
    """Measure what was asked for; tells of every piece when it is there."""
    names, parts = options.data.split(","), options.parts.split(",")
    horizons = [int(horizon) for horizon in options.horizons.split(",")]
    if "floor" in parts:
        for name in names:
            measure_floor(report, name, horizons, QUICK_VARIANTS if options.quick else VARIANTS)
            yield f"floor {name}"
    if "halves" in parts:
        for name in names:
            measure_halves(report, name, horizons, QUICK_VARIANTS if options.quick else VARIANTS)
            yield f"halves {name}"
    if "m4" in parts:
        m4_variants = M4_VARIANTS[: options.most_variants]
        for done in measure_m4(report, options.steps, options.n_series, options.seeds, m4_variants):
            yield f"m4 {done}"
    if "network" in parts:
        variants = LONG_VARIANTS[: options.most_variants]
        for name in names:
            if name in options.network_data:
                settings = (options.steps, options.batch_size, options.seeds, variants)
                for done in measure_network(report, name, *settings):
                    yield f"network {name} {done}"


# --- page -------------------------------------------------------------------------------------------------------------


def page(measures: Sequence[dict[str, Any]], made_on: dict[str, Any]) -> str:
    """Everything as Markdown."""
    found = {measure["name"]: measure["value"] for measure in measures}
    told = ", ".join(f"{name} {version}" for name, version in made_on["versions"].items())
    header = [
        "# Ablation",
        "",
        "Made by `python benchmarks/ablation.py`, whose first lines say how. What stays in the library is judged by",
        "validation scores; test scores are reported, and choose nothing.",
        "",
        f"- machine: {made_on['machine']}; one thread",
        f"- commit: {made_on['commit']}",
        f"- versions: {told}",
    ]
    parts = ["\n".join(header), floor_text(found), network_text(found), m4_text(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


Found = dict[str, float]

FLOOR_TEXT = """## Floor

Mean of the MSE over leads up to {horizons}; context 512. Windows are those that have all {most} leads, which
are not the windows of accuracy.md, and one fit serves all leads. Maps are fitted on training rows, with
strengths that validation chose. `+ level` is the mean of the two ridges above it, `+ half context` adds both
with 256 steps: the library chooses among these and `last-centred`, horizon by horizon, with strengths per group of
leads. `instead`: both with fewer steps take the place of those with 256. The next rows change `+ half context` in
one thing, but `penalty by age of lag` changes `+ level`. `refit` is `strengths per group of leads` fitted again on
training and validation. Lowest validation error in bold."""

HALVES_TEXT = """Validation, split: strengths and weights are chosen on the windows that end in its first half,
and errors are of those whose targets begin in its second, so no window judges what it chose. `refit` is
`strengths per group of leads` fitted on training and the first half."""

NETWORK_TEXT = """## Network, 96 steps ahead

Context 512. MSE on evenly thinned windows of all channels, about 2048 of validation and 4096 of the test.
`open` is floor + network, `gated` what the gate makes of it; its share was fitted on the validation windows. Of
three looks at the network, the one with the least validation error (gate open) stands. Averaged weights are the
running average of the same training."""

M4_TEXT = """## M4 Weekly

Context 52, horizon 13, {steps} steps of 256 windows, {seeds}. Validation is the last horizon of the training
file: mean absolute error of logarithms, in each window's spread. OWA is of the test, with the floor fitted
again on all rows. Without a floor the network stands on the last value, and the gate is open."""


@dataclass(frozen=True)
class Floors:
    """The floor's measures: {(data, horizon, variant, part): MSE}."""

    mse: dict[tuple[str, int, str, str], float]

    @classmethod
    def of(cls, found: Found) -> Floors:
        """Pick the floor's measures from all."""
        names = [(name.split(":")[2:], value) for name, value in found.items() if name.startswith("mse:floor:")]
        return cls({(data, int(horizon), variant, part): value for (data, horizon, variant, part), value in names})

    @property
    def horizons(self) -> list[int]:
        """Horizons that were measured."""
        return sorted({horizon for _, horizon, _, _ in self.mse})

    def data(self, part: str) -> list[str]:
        """Data sets that have scores of a part."""
        return sorted({name for name, _, _, of in self.mse if of == part})

    def mean(self, name: str, variant: str, part: str) -> float:
        """The mean over horizons; NaN where it was not measured."""
        return float(np.mean([self.mse.get((name, horizon, variant, part), np.nan) for horizon in self.horizons]))

    def change(self, variant: str, other: str, part: str = "validation") -> str:
        """How much lower or higher a variant's error is than another's, data set by data set."""
        told = []
        for name in self.data(part):
            change = self.mean(name, variant, part) / self.mean(name, other, part) - 1
            told += [f"{name} {change:+.1%}"] if np.isfinite(change) else []
        return ", ".join(told) or "not measured"

    def table(self, parts: Sequence[str]) -> str:
        """Variants × data sets and parts; the lowest of every part but the test in bold."""
        columns = [(name, part) for name in self.data(parts[0]) for part in parts]
        variants = list(dict.fromkeys(variant for _, _, variant, part in self.mse if part in parts))
        rows = [[variant] for variant in variants]
        for name, part in columns:
            values = [self.mean(name, variant, part) for variant in variants]
            for row, value in zip(rows, values, strict=True):
                told = f"{value:.4f}" if np.isfinite(value) else ""
                row.append(f"**{told}**" if part != "test" and value == np.nanmin(values) else told)
        return table(["floor", *(f"{name} {part}" for name, part in columns)], rows)


def floor_text(found: Found) -> str:
    """The floor's variants, and a sentence on each group of them."""
    floors = Floors.of(found)
    if not floors.mse:
        return ""
    horizons = ", ".join(map(str, floors.horizons))
    parts = [FLOOR_TEXT.format(horizons=horizons, most=floors.horizons[-1]), floors.table(["validation", "test"])]
    if floors.data("second half"):
        missing = sorted({*floors.data("validation")} - {*floors.data("second half")})
        absent = f" Not measured, or with too few windows for it: {', '.join(missing)}." if missing else ""
        parts += [HALVES_TEXT + absent, floors.table(["second half"])]
    parts.append("\n".join(f"- {sentence}" for sentence in floor_sentences(floors)))
    return "\n\n".join(part for part in parts if part)


def network_text(found: Found) -> str:
    """The network's variants on long horizons."""
    data = [name.split(":")[2] for name in found if name.startswith("steps:network:")]
    parts = []
    for name in data:
        heads = heads_of(found, f"mse:network:{name}:", ":floor:validation:seed0")
        rows = []
        for head in heads:
            errors = [
                f"{over_seeds(found, f'mse:network:{name}:{head}:{gate}:{part}'):.4f}"
                for part in ("validation", "test")
                for gate in GATES
            ]
            share = f"{over_seeds(found, f'share:network:{name}:{head}'):.2f}"
            rows.append([*head.split(":"), *errors[:3], share, *errors[3:]])
        steps, size = (int(found[f"{kind}:network:{name}"]) for kind in ("steps", "batch_size"))
        parts += [f"{name}: {steps} steps of {size} windows, {n_seeds(found, f'share:network:{name}:{heads[0]}')}."]
        parts += [table(["network", "weights", *columns_of("MSE")], rows)]
    if not parts:
        return ""
    return "\n\n".join(
        [NETWORK_TEXT, *parts, "\n".join(f"- {sentence}" for sentence in network_sentences(found, data))]
    )


def m4_text(found: Found) -> str:
    """The network's and the floor's variants on M4 Weekly."""
    if "steps:m4" not in found:
        return ""
    heads = heads_of(found, "owa:m4:", ":floor:seed0")
    rows = []
    for head in heads:
        errors, owas = (
            [f"{over_seeds(found, f'{kind}:m4:{head}:{gate}'):.4f}" for gate in GATES] for kind in ("validation", "owa")
        )
        share = f"{over_seeds(found, f'share:m4:{head}'):.2f}"
        rows.append([*head.split(":"), *errors, share, *owas])
    columns = [*(f"validation {gate}" for gate in GATES), "share", *(f"OWA {gate}" for gate in GATES)]
    head = M4_TEXT.format(steps=int(found["steps:m4"]), seeds=n_seeds(found, f"share:m4:{heads[0]}"))
    sentences = "\n".join(f"- {sentence}" for sentence in m4_sentences(found))
    return "\n\n".join([head, table(["floor and network", "weights", *columns], rows), sentences])


def heads_of(found: Found, start: str, end: str) -> list[str]:
    """The variants and weights that were measured, as `variant:weights`."""
    return [
        name.removeprefix(start).removesuffix(end) for name in found if name.startswith(start) and name.endswith(end)
    ]


def over_seeds(found: Found, name: str) -> float:
    """The mean of a measure over its seeds; NaN where there is none."""
    values = [value for key, value in found.items() if key.startswith(f"{name}:seed")]
    return float(np.mean(values)) if values else float("nan")


def n_seeds(found: Found, name: str) -> str:
    """How many seeds a measure has, in words."""
    count = sum(key.startswith(f"{name}:seed") for key in found)
    return f"{count} seed{'' if count == 1 else 's'}"


def columns_of(kind: str) -> list[str]:
    """The columns of a table of gates."""
    test = [f"test {gate}" for gate in GATES]
    return [*(f"validation {gate}" for gate in GATES), "share", *test]


def floor_sentences(floors: Floors) -> list[str]:
    """What was kept or dropped, by validation, and what bounds it."""

    def split(variant: str, other: str = "+ half context") -> str:
        return floors.change(variant, other, "second half")

    change = floors.change
    return [
        f"**Own maps**: kept. Validation of `last-centred` against one common map: "
        f"{change('last-centred', 'last-centred, common map')}. Where no channel earns one, nothing changes.",
        f"**Return to the level**: kept, as a mean of both ridges. Validation against `last-centred`: "
        f"{change('+ level', 'last-centred')}; split: {split('+ level', 'last-centred')}. On all of it the level "
        f"alone is lower still (against the mean: {change('level alone', '+ level')}), and is not offered. One stretch "
        f"of a few months says little about returning to a level, and its halves need not agree: that bounds it.",
        f"**A shorter context beside the whole**: kept at half. Validation against `+ level`: "
        f"{change('+ half context', '+ level')}; split: {split('+ half context', '+ level')}. The library takes it "
        f"where it is better by more than a standard error. Against half, 192 steps: "
        f"{change('+ 192 steps instead', '+ half context')}; 128 steps: "
        f"{change('+ 128 steps instead', '+ half context')}: too little for a length to be tuned.",
        f"**Calendar harmonics**: dropped. Validation: {change('calendar harmonics', '+ half context')}; split: "
        f"{split('calendar harmonics')}. Not better everywhere, and the floor would need a calendar.",
        f"**Strengths per group of leads**: kept. Validation: "
        f"{change('strengths per group of leads', '+ half context')}; split: {split('strengths per group of leads')}. "
        f"The library fits every horizon by itself, so at short horizons less is left to gain.",
        f"**Penalty that grows with a lag's age**: dropped. Validation against `+ level`: "
        f"{change('penalty by age of lag', '+ level')}. With so many windows validation chooses weak penalties, whose "
        f"shape hardly matters.",
        f"**Weights by validation instead of the mean**: dropped. Validation looks better by "
        f"{change('stacked by validation', '+ half context')}, on the windows that the weights were fitted on; split: "
        f"{split('stacked by validation')}. The number of independent validation windows bounds it: a few horizons.",
        f"**Refit on validation**: kept. Split, against training alone: "
        f"{split('refit', 'strengths per group of leads')}. Its own windows cannot "
        f"judge it, so the half judges for the whole.",
        "**Exchange**: its validation has few windows of 720 leads, all of them overlapping, and "
        "nearly every variant chooses the naive forecast. Rates that are close to random walks bound it.",
    ]


def network_sentences(found: Found, data: Sequence[str]) -> list[str]:
    """What was kept or dropped, by validation, and what bounds it."""

    def told(variant: str, weights: str = "own weights", gate: str = "open") -> str:
        names = {name: f"mse:network:{name}:{variant}:{weights}:{gate}:validation" for name in data}
        return ", ".join(
            f"{name} {over_seeds(found, key):.4f}" for name, key in names.items() if f"{key}:seed0" in found
        )

    residual, alone, calendar = (variant.name for variant in LONG_VARIANTS)
    return [
        f"**Residual on the floor**: kept, behind the gate. Validation of the floor: {told(residual, gate='floor')}; "
        f"gate open: {told(residual)}; gated: {told(residual, gate='gated')}. The floor's strengths were chosen on "
        f"these windows, and the steps are few: that bounds what a network can show here.",
        f"**Alone on the last value, then mixed**: dropped. Gate open: {told(alone)}; gated: "
        f"{told(alone, gate='gated')}. It has to learn by steps what the floor has in closed form; these are too "
        f"few to judge it where it is fully trained.",
        f"**Calendar harmonics as covariates**: no default; a user can give them. Gate open: {told(calendar)}, without "
        f"them {told(residual)}; gated: {told(calendar, gate='gated')}, without them {told(residual, gate='gated')}.",
        f"**Averaged weights**: dropped, as they change nothing that the gate lets through. Residual, gate open: "
        f"{told(residual, 'averaged weights')}; gated: {told(residual, 'averaged weights', 'gated')}.",
    ]


def m4_sentences(found: Found) -> list[str]:
    """What was kept or dropped, by validation, and what bounds it."""

    def told(variant: str, weights: str = "own weights", gate: str = "gated") -> str:
        value = over_seeds(found, f"validation:m4:{variant}:{weights}:{gate}")
        return f"{value:.4f}" if np.isfinite(value) else "not measured"

    own, common, none, even, patch = (variant.name for variant in M4_VARIANTS)
    return [
        f"**Floor**: own maps kept. Validation, gated: {told(own)}, common map {told(common)}, none {told(none)}. "
        f"The floor's strengths were chosen on these windows, which favours it.",
        f"**Gate**: kept, though here validation is better with it open: {told(own, gate='open')} against {told(own)}. "
        f"It withholds what one horizon of each series cannot show, which bounds its gain as well as its harm.",
        f"**Averaged weights**: dropped. Validation: {told(own, 'averaged weights')} against {told(own)} with a floor, "
        f"{told(none, 'averaged weights')} against {told(none)} without.",
        f"**Patches of 2 steps, even draws**: dropped. Validation without a floor: {told(patch)} and {told(even)} "
        f"against {told(none)}.",
    ]


if __name__ == "__main__":
    main()
