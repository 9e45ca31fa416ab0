"""The form of a run, made from the config dataclasses: help, range, choices and default have one source.

Every field is in the URL as `train_<field>`, so that a prepared form can be sent as a link. A field that has no effect
(`when`) is hidden and keeps its default, so that it does not make another run of the same training.
"""

import dataclasses
import json
import math
import os
import re
from dataclasses import dataclass
from typing import Any

import streamlit as st

from aevae.config import DataConfig, RunConfig, TrainConfig, build, check, option, parse
from aevae.figures.palette import family_title
from aevae.ui.i18n import _
from aevae.ui.state import plain

OWN = "own pictures"  # the last choice of data sets
FIRST = ("network", "latent_dim", "beta", "noise", "noise_level", "epochs")  # the other fields are folded away
PROBE = 256  # pictures per timed step, at most: a larger batch costs in proportion
EPOCH = 0.25  # seconds to write the checkpoint of an epoch
EVALUATION = 1 / 3  # forward only: what a test picture costs against a training picture
FAMILY, DATA, DEVICE, PATH, ZIP = "train_family", "train_data", "train_device", "train_path", "train_zip"
_WRONG = "train_wrong"  # session: key -> sentence about a value of the link


@dataclass(frozen=True)
class Seed:
    """RunConfig's seed as a field of the form."""

    seed: int = option(0, "decides all random choices: same seed, same run", min=0, max=2**31 - 1)


def key_of(name: str) -> str:
    """State key, and name in the URL, of a config field."""
    return f"train_{name}"


# -- the form --------------------------------------------------------------------------------------------------------


def run_form() -> tuple[RunConfig | None, str]:
    """Draw the form; returns its config and the device. None: a sentence on the page says what is wrong."""
    from aevae.models import FAMILIES, family_class

    data = _data_set()
    family = _choice(FAMILY, _("Family"), list(FAMILIES), family_title, help=_("what is learnt; see below"))
    model_class = family_class(family)
    fields = [*dataclasses.fields(model_class.Config), *dataclasses.fields(TrainConfig)]
    values: dict[str, Any] = {}
    first = st.container()
    with st.expander(_("More options"), key="train_more"):
        more = st.container()
        for f in (*fields, *dataclasses.fields(Seed)):
            values[f.name] = _field(f, values, first if f.name in FIRST else more)
        values |= {f.name: _field(f, {"name": data}, more) for f in _data_fields()}
        device = _choice(DEVICE, _("Device"), devices(), str, help=_("where to train; the run is the same request"))
    for sentence in st.session_state.get(_WRONG, {}).values():
        st.warning(_("In the link: {}. The default is taken.").format(sentence))
    try:
        return _config(model_class.Config, data, values), device
    except ValueError as problem:
        st.error(_sentence(problem))
        return None, device


def _config(model_class: type, data: str | None, values: dict) -> RunConfig:
    """The config of these values, own pictures known by their content. Raises ValueError."""
    from aevae import datasets

    if not data:
        raise ValueError(_("choose a zip of pictures, or name a folder"))
    mine = {f.name for f in dataclasses.fields(model_class)}
    trains = {f.name for f in dataclasses.fields(TrainConfig)}
    return RunConfig(
        datasets.resolve(DataConfig(name=data, **{f.name: values[f.name] for f in _data_fields()})),
        build(model_class, {k: v for k, v in values.items() if k in mine}),
        build(TrainConfig, {k: v for k, v in values.items() if k in trains}),
        values["seed"],
    )


def _sentence(problem: Exception) -> str:
    text = str(problem)
    return text[:1].upper() + text[1:]


def _data_fields() -> list[dataclasses.Field]:
    """Fields of DataConfig that a person sets; the name has its own widget and the digest fills itself in."""
    return [f for f in dataclasses.fields(DataConfig) if f.name not in ("name", "digest")]


@st.cache_data(show_spinner=False)
def devices() -> list[str]:
    """`auto` and the devices that this machine has."""
    from aevae.training.device import DEVICES, pick_device

    found = []
    for name in DEVICES:
        try:
            pick_device(name)
            found.append(name)
        except ValueError:
            pass
    return found


# -- one field -------------------------------------------------------------------------------------------------------


def _field(f: dataclasses.Field, others: dict, place) -> Any:
    """The value of one field; its default, with nothing drawn, where it has no effect beside the `others`."""
    needs = f.metadata.get("when")
    if needs and others.get(needs[0]) not in needs[1]:
        return f.default
    key, label, help = key_of(f.name), _(pretty(f.name)), _(f.metadata["help"])
    with place:
        if choices := f.metadata.get("choices"):
            return _choice(key, label, list(choices), pretty, help=help, default=f.default)
        _adopt(key, f)
        common = {
            "key": key, "help": help, "on_change": _forget, "args": (key,), "bind": "query-params",
            "persist_state": "session",
        }  # fmt: skip
        if isinstance(f.default, bool):
            return st.toggle(label, f.default, **common)
        low, high = f.metadata["min"], f.metadata["max"]
        if isinstance(f.default, int):
            return st.number_input(label, low, high, f.default, step=1, **common)
        step = f.default / 10 if f.metadata.get("log") else 0.05 if high <= 10 else 0.5
        return st.number_input(label, float(low), float(high), f.default, step=step, format="%g", **common)


def pretty(name: str) -> str:
    """`latent_dim` -> `latent dim`."""
    return name.replace("_", " ")


def _choice(key: str, label: str, options: list[str], show, *, help: str, default: str = "") -> str:
    """One of few options, as a row of buttons. A link may carry the shown text or the option's own name."""
    asked = st.query_params.get(key)
    if asked is not None and key not in st.session_state:
        if asked in options:
            st.session_state[key] = asked
        elif asked not in map(show, options):
            _note(key, _("{} must be one of {}, got {}").format(label, ", ".join(options), asked[:40]))
    return st.segmented_control(
        label, options, default=default or options[0], required=True, format_func=show, key=key, help=help, wrap=True,
        on_change=_forget, args=(key,), bind="query-params", persist_state="session",
    )  # fmt: skip


def _adopt(key: str, f: dataclasses.Field) -> None:
    """On the first look: say so if the link asks for what does not fit. (The widget itself takes what fits.)"""
    asked = st.query_params.get(key)
    if asked is None or key in st.session_state:
        return
    try:
        check(f, parse(f, asked))
    except ValueError as problem:
        _note(key, str(problem)[:200])


def _note(key: str, sentence: str) -> None:
    st.session_state.setdefault(_WRONG, {})[key] = sentence


def _forget(key: str) -> None:
    st.session_state.get(_WRONG, {}).pop(key, None)


def fill(config: RunConfig) -> None:
    """Set the whole form to this config; call it in a callback or before a change of page."""
    model, train, data = (dataclasses.asdict(part) for part in (config.model, config.train, config.data))
    name = data.pop("name")
    data.pop("digest")
    for field, value in {**model, **train, **data, "seed": config.seed}.items():
        st.session_state[key_of(field)] = value
    known = name in [row["name"] for row in _catalogue()]
    st.session_state[FAMILY] = config.model.family
    st.session_state[DATA] = name if known else OWN
    if not known:
        st.session_state[PATH] = name.partition(":")[2]


# -- the data set ----------------------------------------------------------------------------------------------------


def _catalogue() -> list[dict]:
    from aevae import datasets

    return datasets.catalogue()


def _data_set() -> str | None:
    """Name of the chosen data set; None while own pictures are not chosen yet."""
    rows = {row["name"]: row for row in _catalogue()}
    options = [*rows, OWN]
    labels = {name: _data_label(row) for name, row in rows.items()} | {OWN: _("own pictures ...")}
    asked = st.query_params.get(DATA)
    if asked is not None and DATA not in st.session_state and asked not in labels.values():
        if asked == OWN:
            st.session_state[DATA] = OWN
        else:
            named = ", ".join(n for n in rows if ":" not in n)
            _note(DATA, _("the data set must be one of {}, or own pictures, got {}").format(named, asked[:40]))
    chosen = st.selectbox(
        _("Data set"), options, format_func=lambda name: labels.get(name, name), key=DATA, on_change=_forget,
        args=(DATA,), bind="query-params", persist_state="session",
    )  # fmt: skip
    if chosen == OWN:
        return _own_pictures()
    row = rows[chosen]
    st.caption(f"{plain(row['title'])} · {row['size']} · {row['licence']}")
    if not row["available"]:
        st.info(
            _("{} is not on this computer yet: training begins with its download. With no network, take mnist-5k.")
            .format(chosen)
        )  # fmt: skip
        st.button(_("Take mnist-5k"), key="train_take_5k", on_click=take_embedded)
    return chosen


def take_embedded() -> None:
    """Choose the data set that is always there (a callback)."""
    st.session_state[DATA] = "mnist-5k"


def _data_label(row: dict) -> str:
    if ":" not in row["name"]:
        return row["name"]
    return _("own: {} ({})").format(plain(row["title"]), row["name"].rpartition("/")[2][:6])


def _own_pictures() -> str | None:
    st.file_uploader(_("A zip of pictures"), type=["zip"], key=ZIP, on_change=_store_zip)
    st.caption(_("Sub-folders are the classes. Each picture is made grey, 28 x 28. 20 % become the test set."))
    if problem := st.session_state.get(f"{ZIP}_problem"):
        st.error(problem)
    path = st.text_input(
        _("or a folder or zip on the computer that runs the lab"), key=PATH, max_chars=500, bind="query-params",
        persist_state="session",
    ).strip()  # fmt: skip
    return f"images:{os.path.abspath(os.path.expanduser(path))}" if path else None


def _store_zip() -> None:
    from aevae import datasets

    file = st.session_state.get(ZIP)
    st.session_state.pop(f"{ZIP}_problem", None)
    if file is None:
        return
    try:
        st.session_state[DATA] = datasets.store_upload(file.getvalue(), file.name)
    except ValueError as problem:
        st.session_state[f"{ZIP}_problem"] = _sentence(problem)


# -- what it will cost -----------------------------------------------------------------------------------------------


def cost(config: RunConfig, device: str) -> tuple[int, float]:
    """Parameters of the model, and seconds of training on this machine (nothing else running, data at hand)."""
    model = json.dumps(config.to_dict()["model"], sort_keys=True)
    parameters, seconds = _pace(model, min(config.train.batch_size, PROBE), device, config)
    train, test = pictures(config.data)
    return parameters, config.train.epochs * (seconds * (train + EVALUATION * test) + EPOCH)


@st.cache_data(max_entries=500, show_spinner=False)
def _pace(model: str, batch: int, device: str, _config: RunConfig) -> tuple[int, float]:
    """Parameters, and seconds per training picture, by a few real steps with the threads that a worker takes."""
    from aevae import runs
    from aevae.training.device import set_threads

    set_threads(spare=1)  # as the worker does
    train = TrainConfig(epochs=1, batch_size=batch)
    found = runs.estimate(dataclasses.replace(_config, train=train), device, pictures=batch)
    return found.parameters, found.seconds / batch


def pictures(data: DataConfig) -> tuple[int, int]:
    """Training and test pictures of a data set: as the catalogue says, or counted. Raises ValueError."""
    from aevae import datasets

    size = next((row["size"] for row in _catalogue() if row["name"] == data.name), "")
    counts = re.search(r"([\d,]+) \+ ([\d,]+) pictures", size)
    if counts:
        train, test = (int(text.replace(",", "")) for text in counts.groups())
        train -= 1000 if data.leave_out_5k else 0
    else:
        loaded = datasets.load(dataclasses.replace(data, limit=0))
        train, test = len(loaded.train), len(loaded.test)
    return min(train, data.limit or train), test


def duration(seconds: float) -> str:
    """A time as one says it: `about 40 s`, `about 3 min`, `about 2 h`."""
    if seconds < 5:
        return _("a few seconds")
    scales = ((90, 1, _("about {:g} s")), (5400, 60, _("about {:g} min")), (math.inf, 3600, _("about {:g} h")))
    for limit, size, text in scales:
        if seconds < limit:
            count = seconds / size
            return text.format(round(count, -1 if count >= 20 else 0 if count >= 2 or size == 1 else 1))
    raise ValueError(f"seconds must be a finite number, got {seconds}")
