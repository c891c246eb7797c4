"""Does `delineate serve` keep what its OpenAPI description says? Asked by schemathesis, thousands of times.

python benchmarks/serve_contract.py [SCHEMATHESIS] [--examples 20]

`make contract` installs schemathesis into an environment of its own, .venv/contract: it brings thirty
packages that nothing else here needs. Left out is the check that whatever the description allows is accepted:
it cannot say that bytes are an image, nor that tensors have the size that they claim.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TOKEN = "contract-contract-contract"
OPTIONS = ["--max-pixels", "100000", "--token", TOKEN, "--port", "0"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", nargs="?", default="schemathesis")
    parser.add_argument("--examples", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "jobs.sqlite")
        command = [sys.executable, "-m", "delineate", "serve", "--db", database, *OPTIONS]
        log = Path(folder) / "log"
        with log.open("wb") as file:
            server = subprocess.Popen(command, stderr=file)
        while not (found := re.search(r"^serve: (\S+)", log.read_text(), re.MULTILINE)):
            if server.poll() is not None:
                raise SystemExit(f"the server did not start: {log.read_text()}")
        try:
            return subprocess.run(
                [
                    *(
                        given.program,
                        "run",
                        f"{found[1]}/openapi.json",
                        "-H",
                        f"Authorization: Bearer {TOKEN}",
                    ),
                    *("--max-examples", str(given.examples), "--continue-on-failure"),
                    *("--exclude-checks", "positive_data_acceptance"),
                ],
                check=False,
                cwd=folder,
            ).returncode
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


if __name__ == "__main__":
    raise SystemExit(main())
