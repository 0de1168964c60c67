"""Reading the pages of `docs/` as what they are for a test: files to make and commands to give."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

BLOCK = re.compile(
    r"(?:^\*\*`(?P<file>[^`]+)`\*\*(?:, above `(?P<above>[^`]+)`)?\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A code block; `file` is the name in bold above it, `above` the text in that file that it goes before."""

    language: str
    text: str
    file: str | None
    above: str | None

    def put_into(self, folder: Path) -> None:
        """Makes the file, or writes the block into the one that is there, before the line that holds `above`."""
        assert self.file is not None
        path = folder / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.above is None:
            assert not path.exists(), f"{self.file} is there already"
            path.write_text(self.text)
            return
        before, found, after = path.read_text().partition(self.above)
        assert found, f"{self.file} does not hold {self.above!r}"
        head, newline, begun = before.rpartition("\n")
        path.write_text(f"{head}{newline}{self.text}\n{begun}{found}{after}")


def blocks(page: str) -> list[Block]:
    """The code blocks of a page, which is named from the project's folder."""
    found = BLOCK.finditer((ROOT / page).read_text())
    return [Block(one["language"], one["text"], one["file"], one["above"]) for one in found]


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks."""
    return [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
