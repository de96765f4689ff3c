"""A hook of mkdocs: the site is laid out as the repository is, so that links lead there too."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md", "examples/README.md")
LINK = re.compile(r"\]\(([^):#]+)")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Pages of docs below docs/, those from elsewhere, and what files they all link to."""
    paths = {ROOT / name for name in PAGES}
    for file in [one for one in files if one.src_dir == config.docs_dir]:
        files.remove(file)
        if not file.inclusion.is_excluded():
            paths.add(Path(str(file.abs_src_path)))
    for page in [path for path in paths if path.suffix == ".md"]:
        linked = (page.parent / name for name in LINK.findall(page.read_text(encoding="utf-8")))
        paths |= {path.resolve() for path in linked if path.is_file()}
    for path in sorted(paths):
        uri = path.relative_to(ROOT).as_posix()
        there = InclusionLevel.INCLUDED  # hidden ones too
        made = File.generated(config, uri, abs_src_path=str(path), inclusion=there)
        files.append(made)
