"""Widgets that choose runs. Each choice has one key for all pages and is in the URL."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_title
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _, language
from aevae.ui.shared import address, cached, markdown
from aevae.ui.shared.option_words import option_text

MODEL, MODELS, DIGIT, SEED, NOISE, LEVEL, DIMS = "model", "models", "digit", "seed", "noise", "level", "dims"


def run_labels(runs: Sequence[RunInfo]) -> dict[str, str]:
    """Run name -> unique label, see `run_label`. Addresses contain the name.

    Runs with equal labels are told apart by the first option in which they differ, then by the seed, by "shipped", and
    at last by the fingerprint.
    """
    labels = {run.name: run_label(run) for run in runs}
    for detail in (*(partial(_option_text, name=name) for name in _varied(runs)), _shipped_text, _fingerprint_text):
        equal: dict[str, list[RunInfo]] = {}
        for run in runs:
            equal.setdefault(labels[run.name], []).append(run)
        for group in equal.values():
            details = [detail(run) for run in group]
            if len(set(details)) > 1:
                labels |= {r.name: f"{labels[r.name]} · {text}" for r, text in zip(group, details, strict=True) if text}
    return labels


def run_label(run: RunInfo) -> str:
    """`VAE, 2 numbers`: the name that people gave the run, else family, code size and special options. Not unique."""
    return run.title or _kind(run)


def _kind(run: RunInfo) -> str:
    size = _("{family}, {count} numbers").format(family=family_title(markdown.strip(run.family)), count=run.latent_dim)
    return " · ".join([size, *_special_options(run)])


def _special_options(run: RunInfo) -> list[str]:
    network, beta, noise = map(run.option, ("network", "beta", "noise"))
    parts = [] if network in (None, "mlp") else [network]
    if beta is not None:
        parts.append(f"β = {beta:g}")
    if noise is not None:
        parts.append(f"{noise.replace('_', ' ')} {run.option('noise_level'):g}")
    return parts


def former_label(run: RunInfo) -> str:
    """The label of earlier versions, which old links contain: `VAE · d=20 · mnist · shipped`."""
    special = [part.replace(" = ", "=") for part in _special_options(run)]
    parts = [family_title(markdown.strip(run.family)), f"d={run.latent_dim}", *special, _data_set(run)]
    return " · ".join([*parts, "shipped"] if run.shipped else parts)


def _data_set(run: RunInfo) -> str:
    return markdown.strip(run.dataset.split(":")[0])


def options_of(run: RunInfo) -> dict[str, object]:
    """The options in the config of a run and its seed, in the order in which labels use them."""
    data, model, train = (run.config.get(part, {}) for part in ("data", "model", "train"))
    return {**data, **model, **train, "seed": run.config.get("seed"), "digest": None}


def _varied(runs: Sequence[RunInfo]) -> list[str]:
    """Options in which these runs differ."""
    found = [options_of(run) for run in runs]
    names = dict.fromkeys(name for options in found for name in options)
    return [name for name in names if len({str(options.get(name)) for options in found}) > 1]


def _option_text(run: RunInfo, name: str) -> str:
    value = options_of(run).get(name)
    return "" if value is None else option_text(name, value)


def _shipped_text(run: RunInfo) -> str:
    return _("shipped") if run.shipped else ""


def _fingerprint_text(run: RunInfo) -> str:
    return run.name[-12:-6]


def about(run: RunInfo) -> str:
    """The second line of a label, for cards: what it is (if people named it), where it is from, when, which data."""
    parts = [_kind(run)] if run.title else []
    parts += [_("shipped with aevae")] if run.shipped else [when_text(run.created)] if run.created else []
    return " · ".join(filter(None, [*parts, _data_set(run)]))


def when_text(seconds: float) -> str:
    """A time (seconds since 1970) as the server's clock shows it: `today 14:05`, `2026-11-30 14:05`; "" for no time."""
    try:
        then = time.localtime(seconds)
    except (OverflowError, ValueError, OSError):  # of a foreign file
        return ""
    if then[:3] == time.localtime()[:3]:
        return _("today {}").format(time.strftime("%H:%M", then))
    return time.strftime("%Y-%m-%d %H:%M", then)


def label_of(name: str) -> str:
    """The unique label of a run."""
    finished = [run for run in cached.runs() if run.status == "finished"]
    labels = cached.once(f"labels, {language()}", lambda: run_labels(finished))
    return labels.get(name, name)


def say_rises(runs: Mapping[str, RunInfo]) -> None:
    """One caption for each run whose test objective ended far above its best. runs: label -> run."""
    for label, run in runs.items():
        if run.warning:
            st.caption(f":material/warning: {markdown.strip(label)}: {markdown.escape(run.warning)}")


def colour_families(names: Sequence[str]) -> dict[str, str]:
    """Label -> family of these runs, for figures."""
    return {label_of(r.name): r.family for r in cached.finished() if r.name in names}


def pick_model(
    key: str = MODEL,
    *,
    families: tuple[str, ...] | None = None,
    label: str | None = None,
    prefer: Sequence[str] = ("vae",),
    default: str | None = None,
    help: str | None = None,
) -> str:
    """Name of the chosen finished run of these families (None: all). Stops the page with a message if there is none.

    default: name of a run; without it, the first run of the first family of `prefer`. An unknown value in the URL is
    replaced by the default.
    """
    runs = _runs_or_stop(families)
    order = sorted(range(len(runs)), key=lambda i: (_rank(runs[i].family, prefer), i))
    names = [run.name for run in runs]
    first = names.index(default) if default in names else order[0]
    return pick_run(st.selectbox, label or _("Model"), names, index=first, key=key, help=help)


def pick_run(widget: Callable, label: str, names: Sequence[str], *, key: str, format_func=None, notes=st, **rest):
    """`address.pick` of runs: the widget shows labels, the address has names, including the default.

    notes: container for messages about runs of the link, for a widget in a closed pop-up.
    """
    labels = {name: (format_func or label_of)(name) for name in names}  # labels may change with the next rerun
    say = partial(_say_why_not, names=names, notes=notes), partial(_say_gone, notes=notes)
    reader = address.LinkReader(partial(run_called, names=names), *say)
    return address.pick(
        widget, label, names, key=key, format_func=lambda name: labels.get(name, name), always=True,
        reader=reader, **rest,
    )  # fmt: skip


def pick_models(
    key: str = MODELS,
    *,
    families: tuple[str, ...] | None = None,
    label: str | None = None,
    max_selections: int = 4,
    default: Sequence[str] | None = None,
    help: str | None = None,
    notes=st,
) -> list[str]:
    """Names of 1..max_selections chosen finished runs, by default the first of each family. Stops the page if none."""
    runs = _runs_or_stop(families)
    if default is None:
        first = {run.family: run.name for run in reversed(runs)}
        default = [run.name for run in runs if first[run.family] == run.name]
    default = [name for name in default if any(r.name == name for r in runs)][:max_selections]
    _forget_other_default(key, default)
    chosen = pick_run(
        st.multiselect, label or _("Models"), [run.name for run in runs], default=default, key=key,
        max_selections=max_selections, help=help, wrap=True, notes=notes,
    )  # fmt: skip
    if not chosen:
        notes.info(_("Choose at least one model."))
        st.stop()
    return chosen


def _forget_other_default(key: str, default: list[str]) -> None:
    """Drop an unchanged default of another page, because each page starts with its own default."""
    proposed = st.session_state.get(f"{key}_proposed")
    if proposed not in (None, default) and st.session_state.get(key) == proposed:
        del st.session_state[key]
    st.session_state[f"{key}_proposed"] = default


def _rank(family: str, prefer: Sequence[str]) -> int:
    return prefer.index(family) if family in prefer else len(prefer)


def _runs_or_stop(families: tuple[str, ...] | None) -> list[RunInfo]:
    runs = cached.finished(families)
    if not runs:
        which = ", ".join(family_title(f) for f in families) if families else ""
        text = (
            _("There is no trained {} here yet.").format(which) if which else _("There is no trained model here yet.")
        )
        st.info(text + " " + _("Train one first; a small model takes a minute or two."))
        st.page_link("pages/lab/train.py", label=_("Train a model"), icon=":material/model_training:")
        st.stop()
    return runs


def run_called(reference: str, names: Sequence[str]) -> str | None:
    """The run to which a link refers: by name, by a prefix of its fingerprint or by a unique label; else None."""
    hits = [name for name in names if len(reference) >= 6 and _means(reference, name)]
    if not hits:
        hits = [name for name in _called(reference) if name in names]
    return hits[0] if len(hits) == 1 else None


def _called(label: str) -> list[str]:
    """Names of the runs that have, or had in earlier versions, this label."""
    unique = run_labels(cached.runs())
    found = []
    for run in cached.runs():
        labels = [run_label(run), former_label(run)]
        if label in (unique[run.name], *labels, *(f"{text} · {_fingerprint_text(run)}" for text in labels)):
            found.append(run.name)
    return found


def _means(reference: str, name: str) -> bool:
    return name == reference or name.rpartition("-")[2].startswith(reference)


def _say_why_not(reference: str, names: Sequence[str], notes) -> None:
    """Show a message if a link refers to a run that this page cannot show, or to none or several."""
    others = [run for run in cached.runs() if run.name not in names]
    other = run_called(reference, [run.name for run in others])
    for run in others:
        if run.name == other:
            return notes.info(_("The link asks for {}: {}.").format(family_title(run.family), _why_not(run)))
    several = len(_called(reference)) > 1
    reason = (
        _("several models have this name; use the full name of the run")
        if several
        else _("there is no such model here")
    )
    notes.info(_("The link asks for {}: {}.").format(markdown.escape(reference[:80]), reason))


def _say_gone(name: str, notes) -> None:
    """Show a message that the chosen run is no longer in the store."""
    if name not in {run.name for run in cached.runs()}:
        notes.info(_("{} does not exist any more: it was deleted or renamed.").format(name))


def _why_not(run: RunInfo) -> str:
    if run.status != "finished":
        return _("this run is {}").format(run.status)
    takes = {"sequence": _("sequences of images"), "pair": _("pairs of images")}.get(run.traits["input"])
    if takes:
        return _("its input is {}, and this page encodes single images").format(takes)
    return _("this page shows other families")


def seen_note(run, dataset: str = datasets.EMBEDDED) -> str | None:
    """One sentence if the run (RunInfo or Run) was trained on the shown test images, or on images of another kind."""
    trained = datasets.data_of(getattr(run, "info", run).config)
    relation = datasets.relation(trained, dataset)
    if relation == datasets.shown.SEEN:
        return _("This model was trained on all of MNIST, so it has seen the digits shown here.")
    if relation == datasets.shown.FOREIGN:
        title = markdown.strip(datasets.title_of(trained.name))
        return _("This model was trained on {}. The images shown here are of another kind.").format(title)
    return None


def caption_seen(run, dataset: str = datasets.EMBEDDED) -> None:
    """Show `seen_note` as a caption, if there is one."""
    note = seen_note(run, dataset)
    if note:
        st.caption(note)
