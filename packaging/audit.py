"""Are there known holes in what is installed? `pip-audit`, told in a line; no failure where nobody answers.

    python packaging/audit.py .venv/audit/bin/pip-audit .venv/lib/python3.11/site-packages

Exit code 1 where an installed package has a known hole; 0 where there is none, and where the service of
advisories cannot be reached, which is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def told(record: Mapping[str, Any]) -> tuple[str, int]:
    """What a report of pip-audit comes to, in lines, and the exit code.

    Example:
        >>> told({"dependencies": [{"name": "a", "version": "1", "vulns": []}]})
        ('audit: 1 packages, no known hole', 0)
        >>> told({"dependencies": [{"name": "a", "skip_reason": "not found"}]})[1]
        0
    """
    packages = [p for p in record.get("dependencies", []) if p.get("name") != "delineate"]
    asked = [p for p in packages if "vulns" in p]
    holes = [(p, hole) for p in asked for hole in p["vulns"]]
    if holes:
        lines = [f"audit: {len(holes)} known holes in {len({p['name'] for p, _ in holes})} packages"]
        for package, hole in holes:
            mended = ", ".join(hole.get("fix_versions") or ()) or "no version"
            lines.append(f"  {package['name']} {package['version']}: {hole['id']}, mended in {mended}")
        return "\n".join(lines), 1
    if not asked:
        return "audit: the service of advisories gave no answer; nothing was audited", 0
    rest = f"; {len(packages) - len(asked)} not known to the service" if len(asked) < len(packages) else ""
    return f"audit: {len(asked)} packages, no known hole{rest}", 0


def main(arguments: Sequence[str]) -> int:
    """Runs pip-audit (the first argument) on a folder of installed packages (the second)."""
    tool, folder, *more = arguments
    command = [
        tool,
        "--path",
        folder,
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--timeout",
        "15",
        *more,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        record = json.loads(done.stdout or "{}")
    except (subprocess.TimeoutExpired, ValueError):
        record = {}
    text, code = told(record)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
