"""Style sheets: each styles what its own module draws, and reaches no other module."""

import re

import pytest

from aevae.ui.live import component

SHEETS = {path.stem: path.read_text("utf-8") for path in component.STYLES.values()}
MOUNT = re.compile(r"^export (function|const) mount\b", re.M)
MODULES = {path.stem for path in component.MODULES.values() if MOUNT.search(path.read_text("utf-8"))}
OWN = sorted(set(SHEETS) - set(component.COMMON_STYLES))


def selectors(sheet: str) -> list[str]:
    """Every selector of a sheet, those within @media and @container, too; lists taken apart."""
    text = re.sub(r"/\*.*?\*/", "", sheet, flags=re.S)
    found = [part.strip() for part in re.findall(r"([^{};]+)\{", text) if not part.strip().startswith("@")]
    return [" ".join(one.split()) for part in found for one in re.split(r",(?![^(]*\))", part)]


def roots(selector: str) -> set[str]:
    """The modules that a selector is about, by its first class after `.live`."""
    selector = re.sub(r"^\.live:has\((\.[\w-]+)\)", r"\1", selector)  # the container of the module
    first = re.match(r"(?:\.live )?(?::is\(([^)]*)\)|(\.[\w-]+))", selector)
    return set(re.findall(r"\.([\w-]+)", first.group(1) or first.group(2))) if first else set()


@pytest.mark.parametrize("ending", ["js", "css"])
def test_no_two_files_have_one_name(ending):
    found = [path.stem for path in component.ROOMS.rglob(f"*.{ending}")]
    assert sorted(found) == sorted(component.files(ending))


def test_a_module_is_given_its_own_styles_alone():
    for module in MODULES:
        given = [name for name in component.styles(module) if name not in component.COMMON_STYLES]
        assert set(given) <= {module, *component.BORROWED_STYLES.get(module, ())}
    assert set(OWN) <= MODULES, "a sheet that no module is given"
    assert {name for names in component.BORROWED_STYLES.values() for name in names} <= set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_a_sheet_begins_each_selector_with_the_root_of_its_module(name):
    about = {name} | {module for module, names in component.BORROWED_STYLES.items() if name in names}
    for selector in selectors(SHEETS[name]):
        assert roots(selector) and roots(selector) <= about, selector


@pytest.mark.parametrize("name", component.COMMON_STYLES)
def test_a_common_sheet_styles_no_module_by_a_name_that_others_use_inside(name):
    for selector in selectors(SHEETS[name]):
        assert selector.startswith((".live", ".live ")), selector
        if ":is(" not in selector:
            assert not roots(selector) & MODULES, selector


def test_the_data_flow_of_the_film_is_not_the_lab_of_that_name():
    """Both have a class `flow`; in one sheet the lab's beat the film's."""
    assert "flow" in component.styles("flow") and "flow" not in component.styles("film")


# -- text that can be read ---------------------------------------------------------------------------------------------

MIN_PIXELS = 12
UNITS = {"px": 1, "rem": 16}  # in pixels


def text_sizes(source: str) -> list[float]:
    """Sizes in pixels of the fonts that a style sheet sets, or a module for a canvas."""
    sizes = re.findall(r"font(?:-size)?:\s*(?:\d{3}\s+)?([\d.]+)(px|rem)", source)
    sizes += re.findall(r"\bfont\s*=\s*[`\"'](?:\d{3}\s+|bold\s+)?([\d.]+)(px|rem)", source)
    return [float(number) * UNITS[unit] for number, unit in sizes]


def test_sizes_are_found():
    assert text_sizes("g.font = `600 11.5px ${font}`; a { font-size: 0.7rem } b { font: 700 10px x }") == [
        pytest.approx(11.2), 10, 11.5,
    ]  # fmt: skip


@pytest.mark.parametrize("path", [*component.MODULES.values(), *component.STYLES.values()], ids=lambda path: path.name)
def test_no_text_is_smaller_than_12_pixels(path):
    assert [size for size in text_sizes(path.read_text("utf-8")) if size < MIN_PIXELS] == []
