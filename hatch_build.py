"""Build hook: the package's dependencies are the lines of requirements.txt and requirements-dev.txt."""

from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

ONNX = "onnxscript", "onnxruntime"  # of requirements-dev.txt: what `export --format onnx` needs


def requirements(file: Path) -> list[str]:
    """The requirements of a file, without comments and without the files that it includes."""
    lines = (line.partition("#")[0].strip() for line in file.read_text("utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("-")]


class CustomMetadataHook(MetadataHookInterface):
    """Fills `dependencies` and `optional-dependencies`, which pyproject.toml calls dynamic."""

    def update(self, metadata: dict) -> None:
        dev = requirements(Path(self.root) / "requirements-dev.txt")
        metadata["dependencies"] = requirements(Path(self.root) / "requirements.txt")
        metadata["optional-dependencies"] = {"dev": dev, "onnx": [line for line in dev if line.startswith(ONNX)]}
