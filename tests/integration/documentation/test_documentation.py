"""Every block of code in README and documentation does what it says; see ``pages.py`` for how the blocks are marked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .pages import PAGES, REPOSITORY, Block, PageError, blocks_of
from .stage import Stage, StageError

#: What pages use besides Python and a shell.
SYSTEM_PROGRAMS = ("curl", "openssl")
#: Blocks that cannot run here, because they install something or need a service of the system.
MOST_BLOCKS_NOT_RUN = 15


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


@pytest.mark.timeout(150)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    blocks = [block for block in blocks_of(page) if block.kind != "not run"]
    for program in SYSTEM_PROGRAMS:
        if any(f"$ {program} " in block.text for block in blocks) and shutil.which(program) is None:
            pytest.skip(f"the page uses the program {program}, which is not here")
    with Stage(tmp_path) as stage:
        for block in blocks:
            try:
                stage.perform(block)
            except StageError as error:
                pytest.fail(f"{name_of(page)}:{block.line}: {error}", pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_of_a_page_are_used(page: Path) -> None:
    """What is only saved would not be tested."""
    blocks = blocks_of(page)
    for number, block in enumerate(blocks):
        if block.kind == "file":
            used = (block.note, Path(block.note).stem)
            assert any(name in later.text for later in blocks[number + 1 :] for name in used), block.note


def test_few_blocks_are_not_run() -> None:
    """Each of them says why, and there are few."""
    reasons = [
        f"{name_of(page)}: {block.note}" for page in PAGES for block in blocks_of(page) if block.kind == "not run"
    ]
    assert len(reasons) <= MOST_BLOCKS_NOT_RUN, "\n".join(reasons)


# ---- the tester tested: it finds what is wrong


def perform(tmp_path: Path, *blocks: Block) -> None:
    with Stage(tmp_path) as stage:
        for block in blocks:
            stage.perform(block)


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([Block("python", "1 / 0\n", 1)], "ZeroDivisionError"),
        ([Block("python", "print(1)\n", 1), Block("text", "2\n", 4)], "and not"),
        ([Block("pycon", ">>> 1 + 1\n3\n", 1)], "Expected"),
        ([Block("console", "$ echo right\nwrong\n", 1)], "and not"),
        ([Block("console", "$ exit 3\n", 1)], "exit code 3"),
        ([Block("console", "$ false\n$ echo right\nright\n", 1)], "exit code 1"),
        ([Block("console", "$ true\n", 1, "exit 1")], "exit code 0"),
        ([Block("console", "$ echo other\nready\n", 1, "background")], "printed only"),
        ([Block("console", "$ sleep 5\n", 1, "background")], "show some output"),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, blocks: list[Block], problem: str) -> None:
    with pytest.raises(StageError, match=problem):
        perform(tmp_path, *blocks)


def test_what_is_right_passes(tmp_path: Path) -> None:
    """Sessions and terminals share the directory; a program in the background is there for what follows."""
    perform(
        tmp_path,
        Block("file", "# shop.py\nimport time\nprint('open')\ntime.sleep(30)\n", 1, "shop.py"),
        Block("console", "$ python shop.py\nop...\n", 5, "background"),
        Block("python", "from pathlib import Path\nx = len(Path('shop.py').read_text())\nprint(x > 0)\n", 9),
        Block("text", "True\n", 10),
        Block("pycon", ">>> x > 1\nTrue\n>>> [][0]\nTraceback (most recent call last):\nIndexError: ...\n", 11),
        Block("console", "$ export A=7\n$ echo $A \\\n  8\n7 8\n$ (exit 2)\n", 12, "exit 2"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("    indented code\n", "say what the code is"),
        ("```ruby\nputs 1\n```\n", "neither run nor saved"),
        ("<!-- not run: -->\n```console\n$ sudo reboot\n```\n", "reason"),
        ("```{code-block} python\n1\n```\n", "plain block"),
        ("```{literalinclude} ../../pyrolite/__init__.py\n```\n", "only examples"),
    ],
)
def test_code_that_nobody_runs_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n" + text, encoding="utf-8")
    with pytest.raises(PageError, match=problem):
        blocks_of(page)
