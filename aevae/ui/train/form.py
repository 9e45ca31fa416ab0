"""The form of a run, made from the config dataclasses: help, range, choices and default have one source.

Every field is in the URL as `train_<field>`, so that a prepared form can be sent as a link. A field that has no effect
(`when`) is hidden and keeps its default, so that it does not make another run of the same training. Training fields
begin as the recipe has them for the chosen data set. Numeric model fields take lists, too (`train_list_<field>`): then
the form is a sweep, every combination of the listed values with every seed.
"""

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from aevae.config import PRESETS, DataConfig, ModelConfig, TrainConfig, build, check, option, parse, preset
from aevae.figures.palette import family_title
from aevae.run_config import RunConfig
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import address, markdown

OWN = "own pictures"  # the last choice of data sets
FIRST = ("network", "latent_dim", "beta", "noise", "noise_level", "epochs")  # the other fields are folded away
FAMILY, DATA, DEVICE = "train_family", "train_data", "train_device"
PATH, ZIP, FOLDER = "train_path", "train_zip", "train_folder"  # ways to name own pictures
RECIPE, SEEDS = "train_recipe", "train_seeds"
MOST_RUNS = 64  # of one sweep
MOST_SEEDS = 16
MAX_NAMED = 12  # classes of own images that are named with their counts
MOST_LETTERS = 400  # of a list
_WRONG = "train_wrong"  # session: key -> sentence about a value of the link
_TAKEN = "train_taken"  # session: (recipe, data set, its options) that the training fields were last set to
_RATE = "train_rate"  # session: the learning rate that the recipe last proposed
_BEGUN = "train_begun"  # session: option -> default of the family that was chosen at the last look
_UNFOLDED = "train_unfolded"  # session: lists were asked for, by hand or by the link


@dataclass(frozen=True)
class Seed:
    """RunConfig's seed as a field of the form."""

    seed: int = option(0, "decides all random choices: same seed, same run", min=0, max=2**31 - 1)


def key_of(name: str) -> str:
    """State key, and name in the URL, of a config field."""
    return f"train_{name}"


def list_key(name: str) -> str:
    """State key, and name in the URL, of the list of values of a model field."""
    return f"train_list_{name}"


# -- the form --------------------------------------------------------------------------------------------------------


def run_form() -> tuple[list[RunConfig], str]:
    """Draw the form; returns its configs, several of a sweep, and the device. []: the page says what is wrong."""
    from aevae.models import FAMILIES, family_class

    family = _family(list(FAMILIES))
    model_class = family_class(family)
    _begin_as(model_class.Config)
    st.caption(f"{model_class.paper}")
    data = _data_set(model_class)
    about_data = st.container()
    first = st.container()
    with st.expander(_("More options"), key="train_more"):
        more = st.container()
    values: dict[str, Any] = {}
    for f in after_what_they_need(dataclasses.fields(model_class.Config)):
        values[f.name] = _field(f, values, first if f.name in FIRST else more)
    with first:
        recipe = _recipe()
    trains = dataclasses.fields(TrainConfig)
    begun = more.container()  # the training fields stand above those of the data set, which are asked first
    values |= {f.name: _field(f, {"name": data}, more) for f in _data_fields()}
    begins = _recipe_values(recipe, data, values["limit"], _valid_model(model_class.Config, values))
    for f in trains:
        values[f.name] = _field(f, values, first if f.name in FIRST else begun, begins[f.name])
    for f in dataclasses.fields(Seed):
        values[f.name] = _field(f, values, more)
    with more:
        device = _choice(DEVICE, _("Device"), devices(), str, help=_("where to train; the run is the same request"))
    lists, seeds, problem = _several(model_class.Config, values)
    for sentence in st.session_state.get(_WRONG, {}).values():
        st.warning(_("In the link: {}. The default is taken.").format(markdown.escape(sentence)))
    try:
        found = _resolved(data, values)
        if found is None:
            about_data.info(_("Choose a zip or a folder of images."))
            return [], device
        _say_what_was_read(found, about_data)
    except ValueError as wrong:
        about_data.error(_sentence(wrong))
        return [], device
    try:
        if problem:
            raise problem
        return grid(_config(model_class.Config, found, {f.name for f in trains}, values), lists, seeds), device
    except ValueError as wrong:
        st.error(_sentence(wrong))
        return [], device


def _family(families: list[str]) -> str:
    """The chosen family. A link may carry its title or its own name."""
    return address.pick(
        st.selectbox, _("Family"), families, format_func=family_title, key=FAMILY, help=_("what is learnt; see below"),
        on_change=_forget, args=(FAMILY,), unknown=_unknown(FAMILY, _("family"), families),
    )  # fmt: skip


def after_what_they_need(fields: Sequence[dataclasses.Field]) -> list[dataclasses.Field]:
    """The fields in their order, but those that wait for another one's value right after that one."""
    waiting = {f.name: f.metadata["when"][0] for f in fields if "when" in f.metadata}
    found: list[dataclasses.Field] = []

    def take(f: dataclasses.Field) -> None:
        found.append(f)
        for other in fields:
            if waiting.get(other.name) == f.name:
                take(other)

    for f in fields:
        if f.name not in waiting:
            take(f)
    return found


def objectives() -> str:
    """A table of all families, as Markdown: what each minimises, and who says so."""
    from aevae.models import FAMILIES, family_class

    rows = [f"| {_('Family')} | {_('minimises')} | {_('source')} |", "|---|---|---|"]
    for name in FAMILIES:
        model = family_class(name)
        rows.append(f"| {family_title(name)} | `{model.objective.replace('|', chr(0x2223))}` | {model.paper} |")
    return "\n".join(rows)


def _begin_as(config_class: type) -> None:
    """Another family was chosen: options that stand at the last one's default begin at its own."""
    fields = dataclasses.fields(config_class)
    own, last = {f.name: f.default for f in fields}, st.session_state.get(_BEGUN, {})
    for f in fields:
        key = key_of(f.name)
        at_default = f.name in last and st.session_state.get(key) == last[f.name]
        unknown = st.session_state.get(key) not in f.metadata.get("choices", (st.session_state.get(key),))
        if key in st.session_state and last != own and (at_default or unknown):
            st.session_state[key] = f.default
    st.session_state[_BEGUN] = own


def _resolved(data: str | None, values: dict) -> DataConfig | None:
    """The data set with its options, own images known by their content; None: not chosen yet. Raises ValueError."""
    from aevae import datasets

    return datasets.resolve(DataConfig(data, **{f.name: values[f.name] for f in _data_fields()})) if data else None


def _config(model_class: type, data: DataConfig, trains: set[str], values: dict) -> RunConfig:
    """The config of these values. Raises ValueError."""
    mine = {f.name for f in dataclasses.fields(model_class)}
    return RunConfig(
        data,
        build(model_class, {k: v for k, v in values.items() if k in mine}),
        build(TrainConfig, {k: v for k, v in values.items() if k in trains}),
        values["seed"],
    )


def _recipe() -> str:
    return _choice(
        RECIPE, _("Recipe"), list(PRESETS), str,
        help=_(
            "fast: Adam with damping, which keeps the weights of rarely lit pixels small. The learning rate rises over "
            "the first 8 % of the steps, then falls to 0. Its peak follows epochs, batch size and width of the network "
            "until you set it: many epochs or a wide network lower it, a large batch raises it. "
            "classic: Adam at a constant learning rate of 0.001 for ten epochs, as in textbooks. "
            "A recipe sets epochs, batch size and the other training options; you can change each of them."
        ),
    )  # fmt: skip


def _valid_model(config_class: type[ModelConfig], values: dict[str, Any]) -> ModelConfig:
    """The model config of these values; where they do not fit together, of the network alone."""
    try:
        return build(
            config_class, {f.name: values[f.name] for f in dataclasses.fields(config_class) if f.name in values}
        )
    except ValueError:
        return build(config_class, {"network": values["network"]} if "network" in values else {})


def _recipe_values(recipe: str, data: str | None, limit: int, model: ModelConfig) -> dict[str, Any]:
    """The training fields as the recipe has them for this data set, family and network.

    When another recipe, data set, family or network was chosen since the last run of the page, all are set anew. The
    learning rate follows what it depends on (`config.peak_rate`) until somebody sets it.
    """
    config = DataConfig(name=data or DataConfig().name, limit=limit)
    values, mark = _recipe_mark(recipe, config, model)
    if st.session_state.get(_TAKEN, mark) != mark:
        st.session_state.update({key_of(name): value for name, value in values.items()})
    st.session_state[_TAKEN] = mark
    chosen = {name: st.session_state.get(key_of(name), value) for name, value in mark[2].items()}
    try:
        values["lr"] = preset(recipe, config, model, **chosen).lr
    except ValueError:  # a value of another field does not fit: the form says so beside it
        return values
    if st.session_state.get(key_of("lr"), values["lr"]) == st.session_state.get(_RATE) != values["lr"]:
        st.session_state[key_of("lr")] = values["lr"]
    st.session_state[_RATE] = values["lr"]
    return values


def _recipe_mark(recipe: str, data: DataConfig, model: ModelConfig) -> tuple[dict[str, Any], tuple]:
    """The training fields of a recipe, and what tells whether another one has been chosen."""
    values = dataclasses.asdict(preset(recipe, data, model))
    return values, (recipe, data.name, {name: value for name, value in values.items() if name != "lr"})


# -- several at once -------------------------------------------------------------------------------------------------


def listable(config_class: type, values: dict) -> list[dataclasses.Field]:
    """The fields of a model config that are numbers and have an effect beside these values."""
    return [
        f
        for f in dataclasses.fields(config_class)
        if isinstance(f.default, int | float)
        and not isinstance(f.default, bool)
        and ("when" not in f.metadata or values.get(f.metadata["when"][0]) in f.metadata["when"][1])
    ]


def parse_list(f: dataclasses.Field, text: str) -> list:
    """`0.25, 1, 4` as values of field `f`, in their order, each once. Raises ValueError with one sentence."""
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    return sorted({check(f, parse(f, part)) for part in parts})


def grid(config: RunConfig, lists: dict[str, Sequence], seeds: int = 1) -> list[RunConfig]:
    """Every combination of the listed values of model fields, with so many seeds each. Raises ValueError."""
    count = math.prod(map(len, lists.values())) * seeds
    if count > MOST_RUNS:
        raise ValueError(_("at most {} runs at once, these lists make {}").format(MOST_RUNS, count))
    return [
        dataclasses.replace(
            config, model=dataclasses.replace(config.model, **dict(zip(lists, point, strict=True))), seed=seed
        )
        for point in itertools.product(*lists.values())
        for seed in range(config.seed, config.seed + seeds)
    ]


def _several(config_class: type, values: dict) -> tuple[dict[str, list], int, ValueError | None]:
    """The lists, the number of seeds, and what is wrong with the first wrong list."""
    lists, problem, fields = {}, None, listable(config_class, values)
    asked = {SEEDS, *(list_key(f.name) for f in fields)} & set(st.query_params)
    unfolded = bool(asked) or st.session_state.get(_UNFOLDED, False)
    with st.expander(_("Several at once"), key="train_several", expanded=unfolded):
        st.caption(
            _("Lists such as 0.25, 1, 4 train every combination, {} runs at most, and show them together.").format(
                MOST_RUNS
            )
        )
        for f in fields:
            text = st.text_input(
                _(pretty(f.name)), key=list_key(f.name), max_chars=MOST_LETTERS, help=_(f.metadata["help"]),
                placeholder=f"{values[f.name]:g}", bind="query-params", persist_state="session",
            )  # fmt: skip
            try:
                found = parse_list(f, text)
            except ValueError as wrong:
                problem = problem or wrong
            else:
                lists |= {f.name: found} if found else {}
        seeds = st.number_input(
            _("seeds of each"), 1, MOST_SEEDS, 1, key=SEEDS, bind="query-params", persist_state="session",
            help=_("the same again with other random choices: how much is luck?"),
        )  # fmt: skip
    st.session_state[_UNFOLDED] = unfolded or bool(lists) or seeds > 1
    return lists, seeds, problem


def _sentence(problem: Exception) -> str:
    text = markdown.escape(problem)
    return text[:1].upper() + text[1:]


def _data_fields() -> list[dataclasses.Field]:
    """Fields of DataConfig that a person sets; the name has its own widget and the digest fills itself in."""
    return [f for f in dataclasses.fields(DataConfig) if f.name not in ("name", "digest")]


@st.cache_data(ttl=60, show_spinner=False)  # a GPU whose memory was full is tried again
def devices() -> list[str]:
    """`auto` and the devices that this machine has and this PyTorch can compute on."""
    from aevae.training.device import DEVICES, pick_device

    found = []
    for name in DEVICES:
        try:
            pick_device(name)
            found.append(name)
        except ValueError:
            pass
    return found


def device_note(device: str) -> None:
    """Say why `auto` is the CPU if there is a GPU."""
    from aevae.training.device import gpu_warning

    if device == "auto" and (said := gpu_warning()):
        st.warning(markdown.escape(said))


# -- one field -------------------------------------------------------------------------------------------------------


def _field(f: dataclasses.Field, others: dict, place, default: Any = None) -> Any:
    """The value of one field; its default, with nothing drawn, where it has no effect beside the `others`.

    default: where a recipe has another than the field.
    """
    default = f.default if default is None else default
    needs = f.metadata.get("when")
    if needs and others.get(needs[0]) not in needs[1]:
        return default
    key, label, help = key_of(f.name), _(pretty(f.name)), _(f.metadata["help"])
    with place:
        if choices := f.metadata.get("choices"):
            return _choice(key, label, list(choices), pretty, help=help, default=default)
        _adopt(key, f)
        common = {
            "key": key, "help": help, "on_change": _forget, "args": (key,), "bind": "query-params",
            "persist_state": "session",
        }  # fmt: skip
        if isinstance(f.default, bool):
            return st.toggle(label, default, **common)
        if isinstance(f.default, str):
            return st.text_input(label, default, max_chars=MOST_LETTERS, **common)
        low, high = f.metadata["min"], f.metadata["max"]
        if isinstance(f.default, int):
            return st.number_input(label, low, high, default, step=1, **common)
        step = f.default / 10 if f.metadata.get("log") else 0.05 if high <= 10 else 0.5
        return st.number_input(label, float(low), float(high), default, step=step, format="%g", **common)


def pretty(name) -> str:
    """`latent_dim` -> `latent dim`."""
    return str(name).replace("_", " ")


def _unknown(key: str, label: str, options: list) -> Callable[[str], None]:
    """What is said of a link that asks for another option."""
    names = ", ".join(map(str, options))
    return lambda asked: _note(key, _("{} must be one of {}, got {}").format(label, names, asked[:40]))


def _choice(key: str, label: str, options: list, show, *, help: str, default: Any = "") -> Any:
    """One of few options, as a row of buttons."""
    return address.pick(
        st.segmented_control, label, options, default=default or options[0], required=True, format_func=show, key=key,
        help=help, wrap=True, on_change=_forget, args=(key,), unknown=_unknown(key, label, options),
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
    st.session_state.update({key: "" for key in st.session_state if str(key).startswith(list_key(""))})
    st.session_state[SEEDS] = 1
    recipe = next((r for r in PRESETS if preset(r, config.data, config.model) == config.train), PRESETS[0])
    st.session_state[RECIPE] = recipe
    st.session_state[_TAKEN] = _recipe_mark(recipe, config.data, config.model)[1]
    st.session_state[_RATE] = preset(
        recipe, config.data, config.model, **{k: v for k, v in train.items() if k != "lr"}
    ).lr
    known = name in [row["name"] for row in _catalogue()]
    st.session_state[FAMILY] = config.model.family
    st.session_state[_BEGUN] = {f.name: f.default for f in dataclasses.fields(config.model)}
    st.session_state[DATA] = name if known else OWN
    if not known:
        st.session_state[PATH] = name.partition(":")[2]


# -- the data set ----------------------------------------------------------------------------------------------------


def _catalogue() -> list[dict]:
    from aevae import datasets

    return datasets.catalogue()


def _data_set(model_class: type) -> str | None:
    """Name of the chosen data set, one that the family can learn from; None while own pictures are not chosen yet."""
    wanted = "sequence" if model_class.input == "sequence" else "image"
    rows = {row["name"]: row for row in _catalogue() if row.get("input", "image") == wanted}
    options = [*rows, OWN] if wanted == "image" else [*rows]
    if st.session_state.get(DATA, options[0]) not in options:
        st.session_state[DATA] = model_class.Config.dataset
    labels = {name: _data_label(row) for name, row in rows.items()} | {OWN: _("own pictures ...")}
    named = ", ".join(n for n in rows if ":" not in n)
    text = _("the data set must be one of {}, or own pictures, got {}")
    chosen = address.pick(
        st.selectbox, _("Data set"), options, format_func=lambda name: labels.get(name, name), key=DATA,
        on_change=_forget, args=(DATA,), unknown=lambda asked: _note(DATA, text.format(named, asked[:40])),
    )  # fmt: skip
    if chosen == OWN:
        return _own_pictures()
    row = rows[chosen]
    st.caption(f"{markdown.strip(row['title'])} · {row['size']} · {row['licence']}")
    if not row["available"]:
        st.info(
            _("{} is not on this computer yet: training begins with its download. With no network, take mnist-5k.")
            .format(chosen)
        )  # fmt: skip
        st.button(_("Take mnist-5k"), key="train_take_5k", on_click=take_embedded)
    return chosen


def take_embedded() -> None:
    """Choose the data set that is always there (a callback)."""
    st.session_state[DATA] = DataConfig.name


def _data_label(row: dict) -> str:
    if ":" not in row["name"]:
        return row["name"]
    return _("own: {} ({})").format(markdown.strip(row["title"]), row["name"].rpartition("/")[2][:6])


def _say_what_was_read(data: DataConfig, place) -> None:
    """How many own images there are, of which classes; what was guessed, changed or left out."""
    from aevae import datasets

    if not datasets.is_own(data.name):
        return
    read = datasets.load(dataclasses.replace(data, limit=0))
    counts = np.bincount(np.concatenate([read.train.labels, read.test.labels]), minlength=len(read.classes))
    named = ", ".join(f"{name} ({n:,})" for name, n in zip(read.classes[:MAX_NAMED], counts, strict=False))
    more = len(read.classes) - MAX_NAMED
    place.caption(
        _("{:,} training and {:,} test images. Classes: {}").format(len(read.train), len(read.test), markdown.escape(named))
        + (_(" and {:,} more").format(more) if more > 0 else "")
        + "."
    )
    if read.notes:
        place.warning("\n\n".join(markdown.escape(note[:1].upper() + note[1:] + ".") for note in read.notes))


def _own_pictures() -> str | None:
    st.file_uploader(_("A zip of pictures"), type=["zip"], key=ZIP, on_change=_store_upload, args=(ZIP,))
    st.file_uploader(
        _("or a folder of pictures"), key=FOLDER, accept_multiple_files="directory", on_change=_store_upload,
        args=(FOLDER,),
    )  # fmt: skip
    st.caption(
        _("Sub-folders are the classes. Each picture is made grey, 28 x 28. 20 % become the test set.")
        + " "
        + _("Folders named train and test are kept as the training set and the test set.")
    )
    if problem := st.session_state.get(f"{ZIP}_problem"):
        st.error(problem)
    path = st.text_input(
        _("or a folder or zip on the computer that runs the lab"), key=PATH, max_chars=500, bind="query-params",
        persist_state="session",
    ).strip()  # fmt: skip
    name = f"images:{os.path.abspath(os.path.expanduser(path))}" if path else None
    if name and (problem := access.may_read(name)):
        st.error(problem)
        return None
    return name


def _store_upload(key: str) -> None:
    from aevae import datasets

    came = st.session_state.get(key)
    st.session_state.pop(f"{ZIP}_problem", None)
    if not came:
        return
    try:
        if key == FOLDER:
            contents = {file.name: file.getvalue() for file in came}
            st.session_state[DATA] = datasets.store_upload(contents, came[0].name.partition("/")[0])
        else:
            st.session_state[DATA] = datasets.store_upload(came.getvalue(), came.name)
    except ValueError as problem:
        st.session_state[f"{ZIP}_problem"] = _sentence(problem)


# -- what it will cost -----------------------------------------------------------------------------------------------


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
