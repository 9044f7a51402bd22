"""Saving and loading a fitted forecaster: numbers as safetensors, everything else as JSON, checksums over both.

Written aside and renamed, so a directory holds a whole model or none. Nothing is unpickled on load.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from hourglass_ts.errors import Problem, SavedModelError, raise_problem
from hourglass_ts.forecast.defaults import FitSettings, default_batch_size
from hourglass_ts.forecast.neural import TrainedHourGlass, new_model
from hourglass_ts.forecast.piping import PIPELINES, Piped, Straight
from hourglass_ts.forecast.plan import WindowPlan
from hourglass_ts.forecast.training import curve_frame, seeded
from hourglass_ts.frames.calendars import Calendar
from hourglass_ts.frames.features import feature_from_json, feature_to_json, iso_dates
from hourglass_ts.frames.schema import OBSERVED, STEP, TIME, UNIT, VALUE, Panel, Roles
from hourglass_ts.model._model import HourGlassModel
from hourglass_ts.windows.encode import TableEncoder

SCHEMA_VERSION = 4  # since 2: exchange sessions, columns made from the time; 3: pipelines; 4: levels in the floor
MODEL_FILE, NUMBERS_FILE, CHECKSUM_FILE = "model.json", "numbers.safetensors", "checksums.json"


def save_model(
    directory: Path,
    params: Mapping[str, Any],
    piping: Straight | Piped,
    panel: Panel,
    notes: Sequence[str],
    trained: TrainedHourGlass,
) -> None:
    """Write a fitted model. The directory may hold an earlier one, which is replaced once the new one is whole."""
    directory = directory.resolve()
    _finish_swap(directory)
    _check_replaceable(directory)
    pipeline = _piping_state(piping, params["pipeline"])
    encoder_plain, encoder_arrays = trained.encoder.state()
    panel_plain, panel_arrays = _panel_state(panel)
    plain = {
        "schema_version": SCHEMA_VERSION,
        "params": {name: _plain(value, name) for name, value in params.items() if name != "pipeline"},
        "pipeline": pipeline,
        "plan": asdict(trained.plan),
        "quantiles": trained.quantiles,
        "network": dict(trained.network),
        "n_series": trained.n_series,
        "scaler": trained.scaler_name,
        "settings": asdict(trained.settings),
        "curve": trained.curve.to_dict("list"),
        "encoder": encoder_plain,
        "panel": panel_plain,
        "notes": list(notes),
    }
    # clones, since safetensors refuses weights that two modules share
    tensors = {f"model.{name}": tensor.clone().contiguous() for name, tensor in trained.model.state_dict().items()}
    tensors |= {name: torch.tensor(a) for name, a in (encoder_arrays | panel_arrays).items()}

    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        save_file(tensors, aside / NUMBERS_FILE)
        (aside / MODEL_FILE).write_text(json.dumps(plain, indent=1), encoding="utf-8")
        sums = {name: _sha256(aside / name) for name in (MODEL_FILE, NUMBERS_FILE)}
        (aside / CHECKSUM_FILE).write_text(json.dumps(sums, indent=1), encoding="utf-8")
        aside.chmod(0o755)
        _swap(aside, directory)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load_model(
    directory: Path, pipeline: Any = None
) -> tuple[dict[str, Any], Straight | Piped, Panel, TrainedHourGlass]:
    """Read parameters, pipeline, history and trained model; a SavedModelError says what is missing, altered or too new.

    pipeline: the class of a pipeline that is none of the library's.
    """
    directory = directory.resolve()
    _finish_swap(directory)
    _check_files(directory)
    plain = json.loads((directory / MODEL_FILE).read_text(encoding="utf-8"))
    if plain["schema_version"] > SCHEMA_VERSION:
        raise_problem(
            SavedModelError,
            Problem(
                f"{directory} in schema version {plain['schema_version']}",
                f"at most {SCHEMA_VERSION}",
                "Install a newer hourglass_ts.",
            ),
        )
    numbers = load_file(directory / NUMBERS_FILE)
    arrays = {name: tensor.numpy() for name, tensor in numbers.items() if not name.startswith("model.")}
    panel = _panel_from_state(plain["panel"], arrays, tuple(plain["notes"]))
    encoder = TableEncoder.from_state(plain["encoder"], arrays, panel.roles.covariates)
    plan, quantiles = WindowPlan(**plain["plan"]), tuple(plain["quantiles"])
    with seeded(0):  # the first weights are drawn, and then replaced: the user's generator is not to notice
        model = new_model(encoder, plan, plain["n_series"], quantiles, plain["network"])
    model.load_state_dict({name[6:]: tensor for name, tensor in numbers.items() if name.startswith("model.")})
    model.eval()
    params = {name: _unplain(value) for name, value in plain["params"].items()}
    trained = TrainedHourGlass(
        plan,
        encoder,
        plain["n_series"],
        quantiles,
        plain["network"],
        model,
        plain.get("scaler", params.get("scaler", "standard")),
        _settings(plain, params, model),
        curve_frame(plain.get("curve")),
    )
    params["pipeline"], piping = _piping_from_state(plain.get("pipeline"), panel.given_roles, pipeline)
    return params, piping, panel, trained


def _settings(plain: Mapping[str, Any], params: Mapping[str, Any], model: HourGlassModel) -> FitSettings:
    """What the fit was done with; of a model from before that was saved, what can be told from its network."""
    if (saved := plain.get("settings")) is not None:
        lists = {name: tuple(saved[name]) for name in ("shortening_factors", "words")}
        return FitSettings(**{**saved, **lists})
    network = model.network.config
    batch_size = default_batch_size(network.context + network.horizon, 3 + network.n_past + network.n_future)
    shape = (network.context, network.patch, network.shortening_factors, network.d_model)
    return FitSettings(*shape, batch_size, params["max_epochs"], params["steps_per_epoch"], words=())


def _check_replaceable(directory: Path) -> None:
    """Refuse a place that holds something else than an earlier model: saving would delete it."""
    own = {MODEL_FILE, NUMBERS_FILE, CHECKSUM_FILE}
    others = sorted(path.name for path in directory.iterdir() if path.name not in own) if directory.is_dir() else []
    if others or directory.is_file():
        raise_problem(
            SavedModelError,
            Problem(
                f"{directory} with other files in it, such as {others[0]}" if others else f"a file at {directory}",
                "a new or empty directory, or one with a saved model alone",
                "Name another directory.",
            ),
        )


def _swap(new: Path, directory: Path) -> None:
    """Put `new` in the place of `directory`; an earlier model is moved aside first, and back if that fails."""
    old = _moved_aside(directory)
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    try:
        new.rename(directory)
    finally:
        _finish_swap(directory)
    shutil.rmtree(old, ignore_errors=True)


def _finish_swap(directory: Path) -> None:
    """Move back a model that a save, killed between its two renames, left aside."""
    old = _moved_aside(directory)
    if old.exists() and not directory.exists():
        old.rename(directory)


def _moved_aside(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}-old")


def _check_files(directory: Path) -> None:
    missing = [n for n in (MODEL_FILE, NUMBERS_FILE, CHECKSUM_FILE) if not (directory / n).is_file()]
    if missing:
        raise_problem(
            SavedModelError,
            Problem(
                f"{directory} without {', '.join(missing)}",
                "a directory that save() wrote",
                "Check the path, or save the model again.",
            ),
        )
    try:
        sums = json.loads((directory / CHECKSUM_FILE).read_text(encoding="utf-8"))
    except ValueError:
        sums = None
    sums = sums if isinstance(sums, dict) else {}
    altered = [name for name in (MODEL_FILE, NUMBERS_FILE) if sums.get(name) != _sha256(directory / name)]
    if altered:
        raise_problem(
            SavedModelError,
            Problem(
                f"{', '.join(altered)} in {directory} altered or cut short",
                f"the SHA-256 in {CHECKSUM_FILE}",
                "Copy the model again, or save it again.",
            ),
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- pipelines -------------------------------------------------------------------------------------------------------


def _piping_state(piping: Straight | Piped, given: Any) -> dict[str, Any] | None:
    """A pipeline's own JSON, the roles in the user's frame, and whether it was given by its name."""
    if isinstance(piping, Straight):
        return None
    kind = getattr(type(piping.pipeline), "kind", None)
    if not hasattr(piping.pipeline, "to_json") or not isinstance(kind, str):
        found = f"a pipeline of class {type(piping.pipeline).__name__} without kind, to_json and from_json"
        hint = "Give it these three; see hourglass_ts.frames.pipelines.Pipeline."
        raise_problem(SavedModelError, Problem(found, "a pipeline that can be saved", hint))
    try:
        fields = piping.pipeline.to_json()
        json.dumps(fields)
    except TypeError as error:  # what json says of values that it cannot write
        found = f"a pipeline of class {type(piping.pipeline).__name__} that JSON cannot hold ({error})"
        problem = Problem(found, "labels and parameters that are text or numbers", "Rename such columns.")
        raise SavedModelError(str(problem)) from error
    return {
        "kind": kind,
        "named": isinstance(given, str),
        "fields": fields,
        "roles": _roles_state(piping.own),
    }


def _piping_from_state(plain: Mapping[str, Any] | None, roles: Roles, own: Any) -> tuple[Any, Straight | Piped]:
    """The parameter `pipeline`, and the way through the fitted one."""
    if plain is None:
        return None, Straight(roles)
    classes = {**PIPELINES, **({} if own is None else {own.kind: own})}
    if plain["kind"] not in classes:
        found = f"a model with a pipeline of kind {plain['kind']!r}"
        expected = f"one of {', '.join(PIPELINES)}, or its class"
        raise_problem(
            SavedModelError, Problem(found, expected, "Pass its class: load(directory, pipeline=MyPipeline).")
        )
    fitted = classes[plain["kind"]].from_json(plain["fields"])
    return plain["kind"] if plain["named"] else fitted, Piped(fitted, _roles_from_state(plain["roles"]), roles)


def _roles_state(roles: Roles) -> dict[str, Any]:
    names = ("time", "target", "series", "known", "past", "static")
    return {name: _plain(getattr(roles, name), name) for name in names}


def _roles_from_state(plain: Mapping[str, Any]) -> Roles:
    return Roles(**{name: _unplain(value) for name, value in plain.items()})


# --- panels ----------------------------------------------------------------------------------------------------------


def _panel_state(panel: Panel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A panel's plain part and its arrays; times as integers with their dtype, text columns in the plain part."""
    table = panel.table
    time = table[TIME]
    is_time = time.dtype.kind == "M" or isinstance(time.dtype, pd.DatetimeTZDtype)
    ticks = time.astype("int64") if not is_time else time.dt.tz_localize(None).astype("int64")
    if isinstance(time.dtype, pd.DatetimeTZDtype):
        ticks = time.dt.tz_convert("UTC").dt.tz_localize(None).astype("int64")
    arrays = {
        "panel_unit": table[UNIT].to_numpy(),
        "panel_step": table[STEP].to_numpy(),
        "panel_time": ticks.to_numpy(),
        "panel_value": table[VALUE].to_numpy(),
        "panel_observed": table[OBSERVED].to_numpy(),
    }
    texts = {}
    for number, label in enumerate(panel.roles.covariates):
        if table[label].dtype == object:
            texts[str(number)] = [None if pd.isna(value) else str(value) for value in table[label]]
        else:
            arrays[f"panel_covariate_{number}"] = table[label].to_numpy()
    kinds = list(dict.fromkeys(panel.calendars))
    plain = {
        "roles": _roles_state(panel.roles),
        "keys": {
            "labels": [_plain(label, "series") for label in panel.keys.columns],
            "dtypes": [_dtype_state(dtype) for dtype in panel.keys.dtypes],
            "values": [[_plain(v, "series") for v in panel.keys.iloc[:, i]] for i in range(panel.keys.shape[1])],
            "n": len(panel.keys),
        },
        "time_dtype": str(time.dtype),
        "calendars": [asdict(calendar) for calendar in kinds],
        "calendar_of": [kinds.index(calendar) for calendar in panel.calendars],
        "texts": texts,
        "features": [feature_to_json(feature) for feature in panel.features],
    }
    return plain, arrays


def _panel_from_state(plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray], notes: tuple[str, ...]) -> Panel:
    roles = _roles_from_state(plain["roles"])
    columns: list[tuple[Hashable, pd.Series]] = [
        (UNIT, pd.Series(arrays["panel_unit"])),
        (STEP, pd.Series(arrays["panel_step"])),
        (TIME, _times(arrays["panel_time"], plain["time_dtype"])),
        (VALUE, pd.Series(arrays["panel_value"])),
        (OBSERVED, pd.Series(arrays["panel_observed"])),
    ]
    for number, label in enumerate(roles.covariates):
        text = plain["texts"].get(str(number))
        column = pd.Series(arrays[f"panel_covariate_{number}"]) if text is None else pd.Series(text, dtype=object)
        columns.append((label, column))
    keys = plain["keys"]
    key_columns: list[tuple[Hashable, pd.Series]] = [
        (_unplain(label), pd.Series([_unplain(v) for v in values], dtype=object).astype(_dtype(dtype)))
        for label, dtype, values in zip(keys["labels"], keys["dtypes"], keys["values"], strict=True)
    ]
    kinds = [_calendar(state) for state in plain["calendars"]]
    calendars = tuple(kinds[number] for number in plain["calendar_of"])
    features = tuple(feature_from_json(fields) for fields in plain.get("features", ()))
    table = _frame(columns, len(arrays["panel_unit"]))
    return Panel(roles, _frame(key_columns, keys["n"]), table, calendars, notes, features)


def _calendar(state: Mapping[str, Any]) -> Calendar:
    return Calendar(**{**state, "holidays": tuple(state["holidays"])})


def _dtype_state(dtype: Any) -> Any:
    """A dtype by its name; a categorical one by its categories too."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return str(dtype)
    categories = [_plain(value, "series") for value in dtype.categories]
    return {"categories": categories, "of": str(dtype.categories.dtype), "ordered": dtype.ordered}


def _dtype(state: Any) -> Any:
    if isinstance(state, str):
        return state
    categories = pd.Index([_unplain(value) for value in state["categories"]], dtype=object).astype(state["of"])
    return pd.CategoricalDtype(categories, state["ordered"])


def _times(ticks: np.ndarray, dtype: str) -> pd.Series:
    if not dtype.startswith("datetime64"):
        return pd.Series(ticks).astype(dtype)
    unit, _, tz = dtype[len("datetime64[") : -1].partition(", ")
    naive = pd.Series(ticks.astype(f"datetime64[{unit}]"))
    return naive.dt.tz_localize("UTC").dt.tz_convert(tz) if tz else naive


def _frame(columns: Sequence[tuple[Hashable, pd.Series]], n_rows: int) -> pd.DataFrame:
    frame = pd.DataFrame(dict(enumerate(column for _, column in columns)), index=pd.RangeIndex(n_rows))
    labels = np.empty(len(columns), dtype=object)
    labels[:] = [label for label, _ in columns]
    frame.columns = pd.Index(labels, tupleize_cols=False)
    return frame


def _plain(value: Any, name: str) -> Any:
    """A value as JSON, with what JSON has no word for in a tagged list."""
    if name == "holidays" and value is not None and not isinstance(value, str):
        value = list(iso_dates(value))
    if isinstance(value, np.generic) and value.dtype.kind not in "mM":  # dates would turn into integers
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, pd.Timestamp):
        return {"timestamp": value.isoformat()}
    if isinstance(value, pd.offsets.BaseOffset) or (name == "freq" and isinstance(value, timedelta)):
        return {"calendar": asdict(Calendar.from_freq(value))}
    if isinstance(value, Mapping) and name == "freq":
        return {"dict": [[_plain(key, name), _plain(item, name)] for key, item in value.items()]}
    if isinstance(value, (list, tuple, np.ndarray)):
        return {"tuple" if isinstance(value, tuple) else "list": [_plain(item, name) for item in value]}
    raise_problem(
        SavedModelError,
        Problem(
            f"{name} with a value of type {type(value).__name__}",
            "text, numbers, timestamps, or lists of them",
            "Convert it before fitting, and fit again.",
        ),
    )


def _unplain(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "timestamp":
        return pd.Timestamp(content)
    if kind == "calendar":
        calendar = _calendar(content)
        return calendar.offset if calendar.weekmask or calendar.holidays else calendar.freq
    if kind == "dict":
        return {_unplain(key): _unplain(item) for key, item in content}
    items = [_unplain(item) for item in content]
    return tuple(items) if kind == "tuple" else items
