"""What README and docs show is executed: offline, page by page, in the order of the page."""

import re
import shlex
import shutil
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer

from lagllama_adapters.checkpoints import hub
from lagllama_adapters.cli import app

ROOT = Path(__file__).parents[1]
TINY = ROOT / "tests" / "fixtures" / "tiny" / "lag-llama-tiny.ckpt"
PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", *sorted(ROOT.glob("docs/*/*.md"))]
# Of notebooks, whose cells the documentation runs too, `{code-cell} ipython3`.
FENCE = re.compile(
    r"^```(python|bash|\{code-cell\} ipython3)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)

# Readers see the hosts' warnings about themselves; those of this package would be errors, but for
# one that depends on the machine: whether its CPU is slow in bfloat16.
pytestmark = pytest.mark.filterwarnings(
    "ignore", "error:::lagllama_adapters", "ignore:precision. got bfloat16:UserWarning"
)


def _name(page):
    return page.relative_to(ROOT).as_posix()


def _fences(page):
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        first_line = text.count("\n", 0, match.start()) + 2
        yield match[1], match[2], first_line


def _check_pip(words):
    """Only tox, or this project with extras that it has."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = extras["optional-dependencies"]
    for word in words[2:]:
        match = re.fullmatch(r"\.(\[(.+)\])?", word)
        assert word == "tox" or match, word
        if match and match[2]:
            assert set(match[2].split(",")) <= set(known)


def _check_tox(words):
    environments = ConfigParser(interpolation=None)
    environments.read(ROOT / "tox.ini")
    assert words[1] == "run"
    for environment in words[3:] if words[2:3] == ["-e"] else []:
        assert f"testenv:{environment}" in environments


def _run_lagllama(words):
    """Commands with a placeholder in capitals are parsed, all others run."""
    if any(word.isupper() for word in words):
        command = typer.main.get_command(app).commands[words[1]]
        command.make_context(words[1], words[2:])
        return
    app(words[1:], standalone_mode=False)


def _run_shell(block):
    runners = {"pip": _check_pip, "tox": _check_tox, "lagllama": _run_lagllama}
    for line in block.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            runners[words[0]](words)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """An empty folder with an original checkpoint in it, and a stand-in for the weights' hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAGLLAMA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: str(TINY))
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    shutil.copy(TINY, "lag-llama.ckpt")
    yield
    pyplot.close("all")


@pytest.mark.parametrize("page", [p for p in PAGES if any(_fences(p))], ids=_name)
def test_code_of_a_page_runs(page, reader):
    pytest.importorskip("darts")
    pytest.importorskip("sktime")
    namespace = {"__name__": _name(page)}
    for language, block, first_line in _fences(page):
        if language == "bash":
            _run_shell(block)
        else:
            code = compile("\n" * (first_line - 1) + block, str(page), "exec")
            exec(code, namespace)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_to_files_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        # Pages that the build generates are its own to check.
        if not re.match(r"[a-z]+:|generated/", target):
            assert (page.parent / target).exists(), target


def test_readme_begins_with_tox_and_its_two_commands():
    _, block, _ = next(_fences(ROOT / "README.md"))
    commands = [line.split("#")[0].strip() for line in block.splitlines()]
    assert commands == ["pip install tox", "tox run -e quickstart", "tox run"]
