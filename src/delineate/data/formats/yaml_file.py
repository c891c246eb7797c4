"""Reading YAML that somebody else wrote: a file of text, lists and mappings alone, or a text with numbers.

In a file every value stays the text that it is, so that a class called ``no`` does not become false. Aliases,
which can make a kilobyte stand for a billion values, and tags, which can name Python objects, are refused.
Where numbers are wanted (cameras, cards of datasets) aliases may stand, as ROS and PyYAML write them; keys
that merge one mapping into another (``<<``) may not, for they alone make copies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError

LARGEST = 1 << 24
DEEPEST = 32
LONGEST = 1 << 20
"""Characters of a text with numbers; Python reads a megabyte in seconds."""


def load_values(text: str) -> Any:
    """What a YAML text says: text, numbers, dates, lists, mappings.

    Raises:
        ValueError: no YAML, longer than :data:`LONGEST`, merged keys, tags, nested too deeply, or a number or
            a date that is none.
    """
    import yaml

    class Values(yaml.SafeLoader):  # type: ignore[misc]
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > DEEPEST:
                raise yaml.YAMLError(f"more than {DEEPEST} levels")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def flatten_mapping(self, node: Any) -> None:
            if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
                raise yaml.YAMLError("a merged key (<<)")
            super().flatten_mapping(node)

    if len(text) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    try:
        return yaml.load(text, Loader=Values)
    except (yaml.YAMLError, RecursionError, TypeError, AttributeError) as error:  # {[a]: 1}: no key at all
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from None


def load_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Returns:
        Text, a list or a dictionary of such, or None for an empty file.

    Raises:
        DatasetError: missing, above 16 MiB, not YAML in UTF-8, aliases, tags, or nested too deeply.
    """
    import yaml

    class Plain(yaml.BaseLoader):  # type: ignore[misc]
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if isinstance(event, yaml.AliasEvent):
                raise yaml.YAMLError(f"an alias (*{event.anchor})")
            if getattr(event, "tag", None) is not None:
                raise yaml.YAMLError(f"a tag ({event.tag})")
            self.depth += 1
            if self.depth > DEEPEST:
                raise yaml.YAMLError(f"more than {DEEPEST} levels")
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        if path.stat().st_size > LARGEST:
            raise DatasetError(f"{path}: expected a short YAML file, got more than 16 MiB; check it")
        return yaml.load(path.read_text(encoding="utf-8-sig"), Loader=Plain)
    except OSError as error:
        raise DatasetError(f"{path}: expected a YAML file, got {error.strerror!r}; check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise DatasetError(f"{path}: expected plain YAML in UTF-8, got {reason}; mend it there") from None
