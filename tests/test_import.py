import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lagllama_adapters

PACKAGE = Path(lagllama_adapters.__file__).parent
HEAVY = ("darts", "lightning", "numpy", "pandas", "pytorch_lightning", "sktime", "torch")


def run(code):
    """The standard output of code in a fresh interpreter that finds this very package."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_loads_neither_torch_nor_a_host():
    code = (
        "import sys, lagllama_adapters; dir(lagllama_adapters); lagllama_adapters.__version__\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_the_public_names_resolve_on_first_use_and_load_no_host():
    code = (
        "import sys, lagllama_adapters as package\n"
        "for name in package.__all__: assert getattr(package, name).__name__ == name\n"
        "assert 'torch' in sys.modules\n"
        "print([name for name in ('darts', 'sktime', 'skpro') if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_dir_lists_the_public_names():
    assert set(lagllama_adapters.__all__) <= set(dir(lagllama_adapters))


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'lagllama_adapters' has no attribute 'Forecast'"):
        _ = lagllama_adapters.Forecast


@pytest.mark.parametrize(
    ("adapter", "host", "extra"),
    [
        ("darts", "darts", "darts"),
        ("sktime", "sktime", "sktime"),
        ("distributed", "ray", "distributed"),
    ],
)
def test_a_missing_host_is_an_import_error_that_names_the_extra(adapter, host, extra):
    code = (
        "import sys\n"
        f"sys.modules[{host!r}] = None  # what the import system does for an absent module\n"
        "try:\n"
        f"    import lagllama_adapters.{adapter}\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert f'pip install "lagllama_adapters[{extra}]"' in run(code)


def test_another_darts_is_an_import_error_that_names_its_version():
    pytest.importorskip("darts")
    code = (
        "import darts.models.forecasting.foundation_model\n"
        "import darts.utils.data.torch_datasets.utils as utils\n"
        "del utils.ModuleStage  # new in Darts 0.48\n"
        "import darts; darts.__version__ = '0.47.0'\n"
        "try:\n"
        "    import lagllama_adapters.darts\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    message = run(code)
    assert "needs Darts 0.48" in message
    assert "got Darts 0.47.0" in message
    assert 'pip install "lagllama_adapters[darts]"' in message


def imported_roots(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module if module.startswith("lagllama_adapters.") else module.partition(".")[0]


@pytest.mark.parametrize("path", sorted((PACKAGE / "model").glob("**/*.py")), ids=lambda p: p.name)
def test_the_model_imports_only_torch_and_the_standard_library(path):
    allowed = {"torch", *sys.stdlib_module_names}
    others = {
        root
        for root in imported_roots(path)
        if root not in allowed and not root.startswith("lagllama_adapters.model")
    }
    assert not others
