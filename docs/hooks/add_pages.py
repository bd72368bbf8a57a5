"""What mkdocs calls while it builds the site: adds pages that mkdocs.yml does not name."""

from pathlib import Path
from typing import cast

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from reference import PAGES


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every page of docs/ that the navigation does not name stands under "Subjects"."""
    nav = cast(list[object], config["nav"])
    named = str(nav)
    pages = sorted(path.name for path in Path(config.docs_dir).glob("*.md"))
    nav.append({"Subjects": [name for name in pages if f"'{name}'" not in named]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The reference, written from the code."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files
