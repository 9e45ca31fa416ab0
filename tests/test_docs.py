"""README and docs: short, up to date, without dead links, and about this project only."""

import re

import pytest

from aevae import paths
from benchmarks import results
from scripts import make_docs

PAGES = [paths.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md")]
PAGES += sorted((paths.ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
UNTRACKED = "checkpoints/runs", "aevae/_app"  # made by training, or in a wheel only
PLACE = re.compile(r"`((?:aevae|tests|benchmarks|scripts|deploy|pages|notebooks|checkpoints|docs)/[\w./-]+)`")


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.slow
def test_generated_parts_are_up_to_date():
    stale = [page.name for page in make_docs.documents() if (text := page.read_text("utf-8")) != make_docs.fill(text)]
    assert not stale, "python -m scripts.make_docs"


def test_tables_of_results_are_up_to_date():
    stale = [page.name for page in make_docs.documents() if (text := page.read_text("utf-8")) != results.fill(text)]
    assert not stale, "python -m benchmarks.results"


BY_HAND = {"deploy.md": 1, "live.md": 1}  # tables of defaults; of the comparison before a decision, which says so


def test_tables_with_numbers_are_made_by_a_command():
    for page in make_docs.documents():
        rest = re.sub(r"<!-- (?:results|generated).*?<!-- end -->", "", page.read_text("utf-8"), flags=re.DOTALL)
        tables = re.findall(r"(?:^\|.*\n)+", rest, re.MULTILINE)
        measured = [table for table in tables if re.search(r"\| *-?\d[\d,.]*( ± [\d.]+)?( /|%| *\|)", table)]
        assert len(measured) <= BY_HAND.get(page.name, 0), f"{page.name}: {measured}"


def test_every_results_file_is_shown():
    assert "| – |" not in make_docs.results()


def test_the_readme_is_short_and_shows_a_moving_image():
    from PIL import Image

    readme = (paths.ROOT / "README.md").read_text("utf-8")
    assert len(readme.encode()) <= 8000
    (image,) = re.findall(r"!\[.+\]\((.+)\)", readme)
    file = paths.ROOT / image
    assert file.stat().st_size <= 1_000_000 and Image.open(file).n_frames > 20


def test_the_readme_has_the_two_commands():
    readme = (paths.ROOT / "README.md").read_text("utf-8")
    install, test = re.findall(r"^    (python3 .*)$", readme, re.MULTILINE)
    assert install.endswith("-r requirements.txt && .venv/bin/streamlit run app.py")
    assert "requirements-dev.txt" in test and "python -m pytest" in test


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(paths.ROOT).as_posix())
def test_a_page_has_no_dead_link_and_no_place_that_is_gone(page):
    text = page.read_text("utf-8")
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        file = page.parent / target if target else page
        assert file.exists(), link
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), link
    for place in PLACE.findall(text):
        if place not in UNTRACKED:
            assert (paths.ROOT / place).exists(), place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(paths.ROOT).as_posix())
def test_a_page_names_no_folder_of_one_machine(page):
    assert not re.search(r"(?<![\w.~])/(work|tmp|home|root|Users)/", page.read_text("utf-8"))


def test_one_version():
    from aevae import __version__

    for file, pattern in (("CITATION.cff", r"^version: (.+)$"), ("CHANGELOG.md", r"^## ([\d.]+)")):
        assert re.search(pattern, (paths.ROOT / file).read_text("utf-8"), re.MULTILINE)[1] == __version__


def test_modules_that_import_each_other_are_one_circle():
    """The drawing finds circles and leaves out what a longer path says."""
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": {"d"}, "d": {"c"}}
    assert make_docs.circles(arrows) == [["c", "d"]]
    assert make_docs.reachable(arrows, "b") == {"c", "d"}


FLOORS = (  # of rooms, from below: a room imports only rooms of lower floors
    {"base"},
    {"datasets", "figures", "models"},
    {"browser", "run_config", "training"},
    {"store"},
    {"metrics"},
    {"latent", "runs"},
    {"exchange", "reporting"},
    {"embeddings"},
    {"checks", "queue"},
    {"api", "cli"},
    {"ui"},
    {"ui/shared"},
    {"ui/live"},
    {"ui/digit", "ui/film", "ui/frame"},
    {
        "ui/compare",
        "ui/denoise",
        "ui/embeddings",
        "ui/interpolate",
        "ui/labs",
        "ui/models",
        "ui/sliders",
        "ui/start",
        "ui/train",
    },
    {"app", "pages"},
)
EXCEPTIONS = {  # pages that use parts of another page
    ("ui/labs", "ui/sliders"),  # the sliders of a code, and a plane under a hand
    ("ui/start", "ui/sliders"),  # the same plane
    ("ui/labs", "ui/train"),  # jobs of the queue
    ("ui/models", "ui/train"),  # the form and the panel of a run
}


@pytest.mark.slow
def test_no_circle_and_no_import_upwards():
    _, arrows = make_docs.rooms()
    assert make_docs.circles(arrows) == []
    floor = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    assert set(floor) == set(arrows), "each room has one floor"
    upwards = {(room, other) for room in arrows for other in arrows[room] if floor[other] >= floor[room]}
    assert upwards <= EXCEPTIONS


def test_no_circle_of_modules():
    """Imports inside functions count, too; those for type checkers do not."""
    assert make_docs.circles(make_docs.module_imports()) == []
