"""Widgets that choose runs. Each choice has one key for all pages and is in the URL."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import streamlit as st

from aevae import datasets
from aevae.figures.palette import family_title
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _, language
from aevae.ui.shared import address, cached, markdown

MODEL, MODELS, DIGIT, SEED, NOISE, LEVEL, DIMS = "model", "models", "digit", "seed", "noise", "level", "dims"


def run_labels(runs: Sequence[RunInfo]) -> dict[str, str]:
    """Run name -> unique label: `VAE · d=20 · mnist · shipped`. Addresses contain the name."""
    plain = {run.name: run_label(run) for run in runs}
    taken = list(plain.values())
    return {n: f"{text} · {n[-12:-6]}" if taken.count(text) > 1 else text for n, text in plain.items()}


def run_label(run: RunInfo) -> str:
    """Label of a run: family, code size, special options, data set. Labels are not unique."""
    network, beta, noise = map(run.option, ("network", "beta", "noise"))
    parts = [family_title(markdown.strip(run.family)), f"d={run.latent_dim}"]
    if network not in (None, "mlp"):
        parts.append(network)
    if beta is not None:
        parts.append(f"β={beta:g}")
    if noise is not None:
        parts.append(f"{noise.replace('_', ' ')} {run.option('noise_level'):g}")
    parts.append(markdown.strip(run.dataset.split(":")[0]))
    return " · ".join([*parts, _("shipped")] if run.shipped else parts)


def label_of(name: str) -> str:
    """The unique label of a run."""
    labels = cached.once(f"labels, {language()}", lambda: run_labels(cached.finished()))
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
    help: str | None = None,
) -> str:
    """Name of the chosen finished run of these families (None: all). Stops the page with a message if there is none.

    prefer: the default is the first run of the first of these families. An unknown value in the URL is replaced by the
    default.
    """
    runs = _runs_or_stop(families)
    order = sorted(range(len(runs)), key=lambda i: (_rank(runs[i].family, prefer), i))
    names = [run.name for run in runs]
    return pick_run(st.selectbox, label or _("Model"), names, index=order[0], key=key, help=help)


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
    labels = {reference, " · ".join(_(part) for part in reference.split(" · "))}
    hits = [name for name in names if len(reference) >= 6 and _means(reference, name)]
    if not hits:
        known = {run.name: run_label(run) for run in cached.runs() if run.name in names}
        hits = [n for n, text in known.items() if labels & {text, f"{text} · {n[-12:-6]}"}]
    return hits[0] if len(hits) == 1 else None


def _means(reference: str, name: str) -> bool:
    return name == reference or name.rpartition("-")[2].startswith(reference)


def _say_why_not(reference: str, names: Sequence[str], notes) -> None:
    """Show a message if a link refers to a run that this page cannot show, or to none or several."""
    others = [run for run in cached.runs() if run.name not in names]
    other = run_called(reference, [run.name for run in others])
    for run in others:
        if run.name == other:
            return notes.info(_("The link asks for {}: {}.").format(family_title(run.family), _why_not(run)))
    several = sum(run_label(run) == reference for run in cached.runs()) > 1
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
