"""requirements.lock has a version of every package in requirements.txt."""

import ast
import re
import sys
from importlib import metadata

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from aevae import paths

SYSTEMS = {
    "Linux": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "macOS": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
}


def requirements(file: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (paths.ROOT / file).read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def locked(system: str, python: str) -> dict[str, str]:
    """Name -> version that the lock installs there. A package locked twice for one environment is a fault."""
    environment = default_environment() | SYSTEMS[system]
    environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    found: dict[str, str] = {}
    for requirement in requirements("requirements.lock"):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (pin,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            assert pin.operator == "==" and name not in found, requirement
            found[name] = pin.version
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_lock_satisfies_the_ranges(system, python):
    versions = locked(system, python)
    for requirement in requirements("requirements.txt"):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_every_range_has_both_bounds_and_contains_the_tested_version():
    lines = [line for line in (paths.ROOT / "requirements.txt").read_text("utf-8").splitlines() if line[0] != "#"]
    assert len(lines) == len(requirements("requirements.txt")) > 10
    for line in lines:
        text, _, tested = line.partition("#")
        requirement = Requirement(text.strip())
        assert {bound.operator for bound in requirement.specifier} == {">=", "<"}, line
        assert requirement.specifier.contains(tested.strip()), line


def test_ci_runs_with_the_lowest_versions_and_with_pre_releases():
    workflow = (paths.ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert re.findall(r'resolve: "(--[^"]+)"', workflow) == [
        "--resolution lowest-direct", "--resolution highest", "--prerelease allow",
    ]  # fmt: skip
    assert "AEVAE_RESOLVE: ${{ matrix.resolve }}" in workflow and "run: bash .ci/run" in workflow
    script = (paths.ROOT / ".ci" / "run").read_text("utf-8")
    assert 'uv pip install -q --python .venv --upgrade "${options[@]}" -r requirements.txt' in script


def test_ci_tests_the_versions_of_the_lock_and_the_lock_says_its_command():
    assert "pip install -q -r requirements-dev.txt -c requirements.lock" in (paths.ROOT / ".ci" / "run").read_text(
        "utf-8"
    )
    head = (paths.ROOT / "requirements.lock").read_text("utf-8").partition("==")[0]
    command = re.search(r"uv pip compile requirements\.txt .*-o requirements\.lock", head)
    assert command and command[0] in (paths.ROOT / "CONTRIBUTING.md").read_text("utf-8")


THROUGH = {"numba": "umap-learn", "pandas": "streamlit", "protobuf": "streamlit", "scipy": "scikit-learn"}
THROUGH |= {"starlette": "streamlit", "tqdm": "umap-learn"}  # imported package -> the requirement that needs it, too


def test_every_imported_package_is_installed_by_the_requirements():
    """Also where everything else is missing: a fresh environment has only these."""
    imported = set()
    for file in (paths.ROOT / "app.py", *paths.ROOT.glob("aevae/**/*.py"), *paths.ROOT.glob("pages/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    packages = metadata.packages_distributions()
    third_party = imported - set(sys.stdlib_module_names) - {"aevae"}
    needed = {canonicalize_name(packages[name][0]) for name in third_party}
    declared = {canonicalize_name(r.name) for r in requirements("requirements.txt")}
    extras = {"onnxruntime", "onnxscript", "pillow-heif"}  # asked for with a sentence where they are missing
    assert needed - declared - extras == set(THROUGH)
    for package, requirement in THROUGH.items():
        names = {canonicalize_name(Requirement(text).name) for text in metadata.requires(requirement) or ()}
        assert package in names and requirement in declared
