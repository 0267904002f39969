"""Does every link inside the built documentation lead somewhere? Pages elsewhere are not asked.

Usage::

    sphinx-build -W -b html docs OUT
    python docs/scripts/check_links.py OUT
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page can be entered by, and where it leads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect."""
        for name, value in attrs:
            if value and name in ("id", "name"):
                self.anchors.add(value)
            elif value and name in ("href", "src", "data"):
                self.links.append(value)


def dead_links(root: Path) -> tuple[int, list[str]]:
    """How many links inside `root` there are, and those that lead nowhere."""
    pages = {path.resolve(): Page(path) for path in root.rglob("*.html")}
    n, dead = 0, []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            n += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target in pages and unquote(parts.fragment) in pages[target].anchors | {""}
            if not (there or (target.is_file() and not (parts.fragment and target in pages))):
                dead.append(f"{path.relative_to(root.resolve())}: {link}")
    return n, dead


if __name__ == "__main__":
    n_links, found = dead_links(Path(sys.argv[1]))
    sys.stdout.write("\n".join([*found, f"{n_links} links, {len(found)} dead\n"]))
    sys.exit(bool(found))
