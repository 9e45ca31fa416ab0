"""The form of a run, made from the config dataclasses: help, range, choices and default have one source.

Every field is in the URL as `train_<field>`, so that a prepared form can be sent as a link. A field that has no effect
(`when`) is hidden and keeps its default, so that it does not make another run of the same training. Training fields
begin as the recipe has them for the chosen data set. Numeric model fields take lists, too (`train_list_<field>`): then
the form is a sweep, every combination of the listed values with every seed.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import streamlit as st

from aevae.config import PRESETS, DataConfig, ModelConfig, TrainConfig, build, option, preset
from aevae.run_config import RunConfig
from aevae.ui.i18n import _
from aevae.ui.shared import markdown
from aevae.ui.shared.option_words import option_title
from aevae.ui.train.data_set import DATA, OWN, PATH, catalogue, describe_own_images, pick_data_set
from aevae.ui.train.families import FAMILY, pick_family
from aevae.ui.train.fields import (
    LINK_PROBLEMS,
    MAX_CHARACTERS,
    draw_choice,
    draw_field,
    in_order_of_need,
    key_of,
    list_key,
    listable,
    parse_list,
    problem_text,
)

# All other fields are in an expander.
UNFOLDED_FIELDS = ("network", "latent_dim", "beta", "noise", "noise_level", "epochs")
OPENING = "vae", {"latent_dim": 2}  # family and options of the first form of a session: its codes fill a plane
DEVICE, RECIPE, SEEDS = "train_device", "train_recipe", "train_seeds"
MAX_RUNS = 64  # runs of one sweep
MAX_SEEDS = 16
_TAKEN = "train_taken"  # session: (recipe, data set, its options) from which the training fields were last set
_RATE = "train_rate"  # session: learning rate that the recipe proposed last
_BEGUN = "train_begun"  # session: (family of the previous run of the page, option -> its first value there)
_UNFOLDED = "train_unfolded"  # session: whether lists are shown, by choice or because the link contains some


@dataclass(frozen=True)
class Seed:
    """RunConfig's seed as a field of the form."""

    seed: int = option(0, "decides all random choices: the same seed gives the same run", min=0, max=2**31 - 1)


@dataclass(frozen=True)
class Places:
    """Where the page shows the parts of the form: family, cost and Train button, picture (or None), options.

    In a narrow window they are below each other in this order.
    """

    family: Any
    start: Any
    picture: Any
    options: Any


def places(parent, picture: bool) -> Places:
    """The places of a form in a container of the page. picture: whether a picture stands beside the options."""
    family, start = parent.columns([5, 3], gap="medium")
    below, options = parent.columns([5, 3], gap="medium")
    return Places(family, start, below, options) if picture else Places(family, start, None, below)


def run_form(place: Places) -> tuple[list[RunConfig], str]:
    """Draw the form; returns its configs (several for a sweep) and the device. []: the page shows the problem."""
    from aevae.models import family_class

    _open_with_default()
    with place.family:
        family = pick_family()
        model_class = family_class(family)
        _follow_family_defaults(model_class.Config)
        st.caption(model_class.paper)
    with place.options:
        entered = _fields(model_class)
    for sentence in st.session_state.get(LINK_PROBLEMS, {}).values():
        place.family.warning(
            _("Wrong value in the link: {}. The default is used instead.").format(markdown.escape(sentence))
        )
    try:
        found = _resolved(entered.data, entered.values)
        if found is None:
            entered.about_data.info(_("Choose a zip or a folder of images."))
            return [], entered.device
        describe_own_images(found, entered.about_data)
    except ValueError as wrong:
        entered.about_data.error(problem_text(wrong))
        return [], entered.device
    try:
        if entered.problem:
            raise entered.problem
        config = _config(model_class.Config, found, entered.values)
        return grid(config, entered.lists, entered.seeds), entered.device
    except ValueError as wrong:
        place.start.error(problem_text(wrong))
        return [], entered.device


class Entered(NamedTuple):
    """What the fields say: data set (None: not chosen yet), values by option, device, lists and seeds of a sweep.

    problem: of the first wrong list. about_data: the place below the choice of the data set.
    """

    data: str | None
    values: dict[str, Any]
    device: str
    lists: dict[str, list]
    seeds: int
    problem: ValueError | None
    about_data: Any


def _fields(model_class: type) -> Entered:
    """Draw all fields but the family."""
    data = pick_data_set(model_class)
    about_data = st.container()
    first = st.container()
    with st.expander(_("More options"), key="train_more"):
        more = st.container()
    values: dict[str, Any] = {}
    for f in in_order_of_need(dataclasses.fields(model_class.Config)):
        values[f.name] = draw_field(f, values, first if f.name in UNFOLDED_FIELDS else more)
    with first:
        recipe = _recipe()
    begun = more.container()  # shown above the data set's fields, which are evaluated first
    values |= {f.name: draw_field(f, {"name": data}, more) for f in _data_fields()}
    begins = _recipe_values(recipe, data, values["limit"], _valid_model(model_class.Config, values))
    for f in dataclasses.fields(TrainConfig):
        values[f.name] = draw_field(f, values, first if f.name in UNFOLDED_FIELDS else begun, begins[f.name])
    for f in dataclasses.fields(Seed):
        values[f.name] = draw_field(f, values, more)
    with more:
        device = draw_choice(
            DEVICE, _("Device"), devices(), str,
            help=_("the processor (CPU or GPU) that trains; the name of the run does not depend on it"),
        )  # fmt: skip
    lists, seeds, problem = _lists_and_seeds(model_class.Config, values)
    return Entered(data, values, device, lists, seeds, problem, about_data)


def _open_with_default() -> None:
    """Without a link, the first form of a session is that of OPENING. A link keeps its meaning: it omits defaults."""
    if FAMILY in st.session_state or any(name.startswith(key_of("")) for name in st.query_params):
        return
    from aevae.models import family_class

    family, options = OPENING
    st.session_state[FAMILY] = family
    st.session_state.update({key_of(name): value for name, value in options.items()})
    st.session_state[_BEGUN] = family, _defaults(family_class(family).Config) | options


def _follow_family_defaults(config_class: type) -> None:
    """After a change of family, options at the old family's first value take the new family's default."""
    family, own = config_class.family, _defaults(config_class)
    last_family, last = st.session_state.get(_BEGUN, (family, {}))
    if last_family == family and last:
        return
    for f in dataclasses.fields(config_class):
        key = key_of(f.name)
        at_first = f.name in last and st.session_state.get(key) == last[f.name]
        unknown = st.session_state.get(key) not in f.metadata.get("choices", (st.session_state.get(key),))
        if key in st.session_state and last_family != family and (at_first or unknown):
            st.session_state[key] = f.default
    st.session_state[_BEGUN] = family, own


def _defaults(config_class: type) -> dict[str, Any]:
    return {f.name: f.default for f in dataclasses.fields(config_class)}


def _resolved(data: str | None, values: dict) -> DataConfig | None:
    """The DataConfig with the digest of own images; None if no data set is chosen yet. Raises ValueError."""
    from aevae import datasets

    return datasets.resolve(DataConfig(data, **{f.name: values[f.name] for f in _data_fields()})) if data else None


def _config(model_class: type, data: DataConfig, values: dict) -> RunConfig:
    """The RunConfig of these values. Raises ValueError."""
    mine, trains = ({f.name for f in dataclasses.fields(part)} for part in (model_class, TrainConfig))
    return RunConfig(
        data,
        build(model_class, {k: v for k, v in values.items() if k in mine}),
        build(TrainConfig, {k: v for k, v in values.items() if k in trains}),
        values["seed"],
    )


def _recipe() -> str:
    return draw_choice(
        RECIPE, _("Recipe"), list(PRESETS), str,
        help=_(
            "A recipe sets epochs, batch size and the other training options; you can change each of them. fast: Adam "
            "with damping, which keeps the weights of pixels small that are almost always black. The learning rate "
            "rises over the first 8 % of the steps, then falls to 0. Until you set its peak, the peak follows epochs, "
            "batch size and network width: many epochs or a wide network lower it, a large batch raises it. classic: "
            "Adam at a constant learning rate of 0.001 for ten epochs, as in textbooks."
        ),
    )  # fmt: skip


def _valid_model(config_class: type[ModelConfig], values: dict[str, Any]) -> ModelConfig:
    """The model config of these values; if they are inconsistent, only with the network options."""
    try:
        return build(
            config_class, {f.name: values[f.name] for f in dataclasses.fields(config_class) if f.name in values}
        )
    except ValueError:
        return build(config_class, {"network": values["network"]} if "network" in values else {})


def _recipe_values(recipe: str, data: str | None, limit: int, model: ModelConfig) -> dict[str, Any]:
    """Values of the training fields that the recipe has for this data set, family and network.

    All fields are reset if recipe, data set, family or network have changed since the last run of the page. The
    learning rate is updated (`config.peak_rate`) until the user sets it.
    """
    config = DataConfig(name=data or DataConfig().name, limit=limit)
    values, mark = _recipe_mark(recipe, config, model)
    if st.session_state.get(_TAKEN, mark) != mark:
        st.session_state.update({key_of(name): value for name, value in values.items()})
    st.session_state[_TAKEN] = mark
    chosen = {name: st.session_state.get(key_of(name), value) for name, value in mark[2].items()}
    try:
        values["lr"] = preset(recipe, config, model, **chosen).lr
    except ValueError:  # a wrong value of another field, beside which the form shows the problem
        return values
    if st.session_state.get(key_of("lr"), values["lr"]) == st.session_state.get(_RATE) != values["lr"]:
        st.session_state[key_of("lr")] = values["lr"]
    st.session_state[_RATE] = values["lr"]
    return values


def _recipe_mark(recipe: str, data: DataConfig, model: ModelConfig) -> tuple[dict[str, Any], tuple]:
    """(training fields of a recipe, value that changes with recipe or data set)."""
    values = dataclasses.asdict(preset(recipe, data, model))
    return values, (recipe, data.name, {name: value for name, value in values.items() if name != "lr"})


def grid(config: RunConfig, lists: dict[str, Sequence], seeds: int = 1) -> list[RunConfig]:
    """Configs of all combinations of the listed values, with `seeds` seeds each. Raises ValueError."""
    count = math.prod(map(len, lists.values())) * seeds
    if count > MAX_RUNS:
        raise ValueError(_("a sweep may have at most {} runs, these lists give {}").format(MAX_RUNS, count))
    return [
        dataclasses.replace(
            config, model=dataclasses.replace(config.model, **dict(zip(lists, point, strict=True))), seed=seed
        )
        for point in itertools.product(*lists.values())
        for seed in range(config.seed, config.seed + seeds)
    ]


def _lists_and_seeds(config_class: type, values: dict) -> tuple[dict[str, list], int, ValueError | None]:
    """(lists by field, number of seeds, error of the first wrong list or None)."""
    lists, problem, fields = {}, None, listable(config_class, values)
    linked = {SEEDS, *(list_key(f.name) for f in fields)} & set(st.query_params)
    unfolded = bool(linked) or st.session_state.get(_UNFOLDED, False)
    with st.expander(_("Several runs at once"), key="train_several", expanded=unfolded):
        st.caption(
            _(
                "Write lists such as 0.25, 1, 4. aevae trains every combination, at most {} runs, and shows the "
                "runs together."
            ).format(MAX_RUNS)
        )
        for f in fields:
            text = st.text_input(
                option_title(f.name), key=list_key(f.name), max_chars=MAX_CHARACTERS, help=_(f.metadata["help"]),
                placeholder=f"{values[f.name]:g}", bind="query-params", persist_state="session",
            )  # fmt: skip
            try:
                found = parse_list(f, text)
            except ValueError as wrong:
                problem = problem or wrong
            else:
                lists |= {f.name: found} if found else {}
        seeds = st.number_input(
            _("seeds per combination"), 1, MAX_SEEDS, 1, key=SEEDS, bind="query-params", persist_state="session",
            help=_("the same training with other random choices: how much of the result is chance?"),
        )  # fmt: skip
    st.session_state[_UNFOLDED] = unfolded or bool(lists) or seeds > 1
    return lists, seeds, problem


def _data_fields() -> list[dataclasses.Field]:
    """Fields of DataConfig that the reader sets; the name has its own widget, and the digest is computed."""
    return [f for f in dataclasses.fields(DataConfig) if f.name not in ("name", "digest")]


@st.cache_data(ttl=60, show_spinner=False)  # a GPU whose memory was full is tried again
def devices() -> list[str]:
    """`auto` and the usable devices of this machine."""
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
    """Explain why `auto` is the CPU although there is a GPU."""
    from aevae.training.device import gpu_warning

    if device == "auto" and (said := gpu_warning()):
        st.warning(markdown.escape(said))


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
    known = name in [row["name"] for row in catalogue()]
    st.session_state[FAMILY] = config.model.family
    st.session_state[_BEGUN] = config.model.family, _defaults(type(config.model))
    st.session_state[DATA] = name if known else OWN
    if not known:
        st.session_state[PATH] = name.partition(":")[2]
