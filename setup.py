"""What pyproject.toml cannot say: the examples lie in the wheel, links stay readable.

The project has no public address that a link from PyPI's page could lead to.
"""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "odyssey"
TRAVELS = {".py", ".yml", ".md"}  # the shell script is for a checkout


class BuildWithExamples(build_py):
    """Build the package with a copy of the examples at ``odyssey/examples``."""

    def run(self) -> None:
        """Build from an empty folder: modules of former builds stay in it else."""
        if not self.editable_mode and Path(self.build_lib).resolve() != ROOT:
            shutil.rmtree(Path(self.build_lib, PACKAGE), ignore_errors=True)
        super().run()
        for target, source in self._examples().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Return all files that are built."""
        return [*super().get_outputs(include_bytecode), *self._examples()]

    def get_output_mapping(self) -> dict[str, str]:
        """Return all files that are built, each with where it comes from."""
        return {**super().get_output_mapping(), **self._examples()}

    def _examples(self) -> dict[str, str]:
        """Return where the files of the examples go, and where they come from.

        An editable install needs none: it finds them beside the package.
        """
        if self.editable_mode:
            return {}
        found = {}
        for example in sorted(ROOT.glob("examples/*/train.py")):
            for place in ("*", "configs/*"):
                for path in sorted(example.parent.glob(place)):
                    if path.suffix in TRAVELS:
                        target = Path(self.build_lib, PACKAGE, path.relative_to(ROOT))
                        found[str(target)] = str(path)
        return found


def without_relative_links(text: str) -> str:
    """Return a page in which links within the repository are text.

    ``[Synthetic set](docs/synthetic.md)`` becomes Synthetic set (`docs/synthetic.md`).
    """

    def unlinked(link: re.Match) -> str:
        words, target = link[1], link[2].partition("#")[0]
        return words if words == target or not target else f"{words} (`{target}`)"

    return re.sub(r"!?\[([^\]]*)\]\(\s*(?!\w+:)([^)]*?)\s*\)", unlinked, text)


setup(
    cmdclass={"build_py": BuildWithExamples},
    long_description=without_relative_links(
        (ROOT / "README.md").read_text(encoding="utf-8")
    ),
    long_description_content_type="text/markdown",
)
