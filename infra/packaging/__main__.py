"""``python -m infra.packaging``: build the deployable folders and print where they are."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.errors import SynthError
from infra.packaging.package import package, package_runtime
from infra.packaging.platforms import HOST, PLATFORMS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.packaging", description="Build the deployable folders.")
    parser.add_argument("--platform", choices=sorted(PLATFORMS), default="lambda")
    parser.add_argument("--out", type=Path, default=None, help="where to build (default: build/)")
    parser.add_argument("--with-python", action="store_true", help="bring a Python in the build's source")
    options = parser.parse_args(arguments)
    try:
        packaged = package(PLATFORMS[options.platform], out=options.out, bundles_python=options.with_python)
        assets = {"layer": packaged.layer, "source": packaged.source}
        assets |= {f"functions/{name}": asset for name, asset in packaged.functions.items()}
        if options.platform == HOST.name:
            assets["runtime"] = package_runtime(out=options.out)
    except SynthError as error:
        print(error, file=sys.stderr)
        return 1
    for name, asset in sorted(assets.items()):
        print(f"{name}\t{asset.path}\t{asset.digest[:12]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
