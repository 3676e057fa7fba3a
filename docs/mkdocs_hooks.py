"""Makes links of the pages work in the site as they do where the repository is browsed.

Pages at the top of the repository become pages of the site. Other files that a page links to, such
as sources, are copied into the site as text.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

# Pages that lie outside docs/, by their path in the repository.
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "deploy/README.md": "fcos_deploy.md",
}
LINK = re.compile(r"(?<=\]\()([^()\s:#]+)(?=[#)])")  # [text](this#anchor)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages outside docs/ and the sources that any page links to."""
    for path, uri in PAGES.items():
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=with_links(text, path)))
    pages = [*PAGES, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    for path in {target for page in pages for target in linked_sources(page)}:
        files.append(File.generated(config, source_uri(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """The text of a page in docs/ with links for the site."""
    return markdown if page.file.generated_by else with_links(markdown, f"docs/{page.file.src_uri}")


def with_links(text: str, path: str) -> str:
    """The text of the page at `path` of the repository with links between pages of the site."""
    here = PurePosixPath(site_uri(path)).parent

    def link(match: re.Match[str]) -> str:
        target = target_of(match[1], path)
        return relpath(site_uri(target), here) if (ROOT / target).is_file() else match[1]

    return LINK.sub(link, text)


def linked_sources(path: str) -> set[str]:
    """The files, by their paths in the repository, that a page links to and that are no pages."""
    file = ROOT / path
    links = LINK.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    targets = {target_of(link, path) for link in links}
    return {x for x in targets if site_uri(x) == source_uri(x) and (ROOT / x).is_file()}


def target_of(link: str, path: str) -> str:
    """The path in the repository that a link of the page at `path` leads to."""
    return normpath(str(PurePosixPath(path).parent / link))


def site_uri(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else source_uri(path)


def source_uri(path: str) -> str:
    """Where a source is in the site: as text, which browsers show rather than save."""
    return f"source/{path}.txt"
