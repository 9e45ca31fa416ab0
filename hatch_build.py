"""Build hooks: read the dependencies from requirements.txt, and include app, pages and shipped files in a wheel."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

ONNX = "onnxscript", "onnxruntime"  # packages in requirements-dev.txt that `export --format onnx` needs
APP = "app.py", "pages", ".streamlit/config.toml", "checkpoints/pretrained", "checkpoints/labs", "checkpoints/maps"


def requirements(file: Path) -> list[str]:
    """The requirements of a file, without comments and included files."""
    lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]


class Dependencies(MetadataHookInterface):
    """Sets `dependencies` and `optional-dependencies`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict) -> None:
        dev = requirements(Path(self.root) / "requirements-dev.txt")
        metadata["dependencies"] = requirements(Path(self.root) / "requirements.txt")
        metadata["optional-dependencies"] = {"dev": dev, "onnx": [line for line in dev if line.startswith(ONNX)]}


class App(BuildHookInterface):
    """Puts the app into aevae/_app of a wheel (`paths.ROOT` there); an editable install uses the checkout."""

    def initialize(self, version: str, build_data: dict) -> None:
        if version == "standard":
            build_data["force_include"] |= {part: f"aevae/_app/{part}" for part in APP}
