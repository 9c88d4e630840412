"""Build sdist and wheel, check both, and try the wheel (`tox run -e package`)."""

import argparse
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# In a wheel: the package and its metadata, nothing else.
WANTED = (
    "lagllama_adapters/py.typed",
    "lagllama_adapters/checkpoints/weights/base/model.safetensors",
)
IN_SOURCE = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/test_import.py")


def _run(*command: object) -> None:
    subprocess.run([*map(str, command)], check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--extras", nargs="*", help="as for install_each_extra.py; default: all")
    arguments = parser.parse_args()
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--outdir", dist)
    (source,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    _run(sys.executable, "-m", "twine", "check", "--strict", source, wheel)
    _run(sys.executable, "-m", "check_wheel_contents", wheel)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    strangers = [n for n in names if not n.startswith(("lagllama_adapters/", "lagllama_adapters-"))]
    missing = [name for name in WANTED if name not in names]
    if strangers or missing:
        sys.exit(f"{wheel.name}: holds {strangers}, lacks {missing}")
    with tarfile.open(source) as archive:
        inside = {name.split("/", 1)[-1] for name in archive.getnames()}
    if lacking := [name for name in IN_SOURCE if name not in inside]:
        sys.exit(f"{source.name}: lacks {lacking}")
    script = Path(__file__).with_name("install_each_extra.py")
    extras = [] if arguments.extras is None else ["--extras", *arguments.extras]
    _run(sys.executable, script, wheel, *extras)


if __name__ == "__main__":
    main()
