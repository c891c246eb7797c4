"""XML that attacks, is cut off, or is plain."""

from __future__ import annotations

from pathlib import Path

import pytest

from delineate.core.errors import DatasetError
from delineate.data.formats.xml_file import children, clean, root, tag


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("voc/billion_laughs.xml", "entities"),
        ("voc/external_dtd.xml", "DTD"),
        ("voc/xxe_file.xml", "DTD"),
        ("voc/xxe_http_loopback.xml", "DTD"),
        ("voc/deep_nesting_50k.xml", "nested more than 64 deep"),
        ("voc/truncated.xml", "line"),
        ("cvat/billion_laughs.xml", "entities"),
        ("images/valid_control.jpg", "expected"),
        ("images/zero_byte.png", "expected"),
        ("no such file.xml", "expected"),
    ],
)
def test_refused_in_one_line(bad_inputs: Path, name: str, said: str) -> None:
    for reader in (root, lambda path: list(children(path))):
        with pytest.raises(DatasetError, match=said) as told:
            reader(bad_inputs / name)
        assert "\n" not in str(told.value)


def test_children_are_whole_and_then_freed(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<a n="1"><b><c>é</c></b><b k="2"/></a>', encoding="utf-8")
    found = [(e.tag, dict(e.attrib), [c.text for c in e]) for e in children(path)]
    assert found[0][:2] == ("a", {"n": "1"})
    assert found[1:] == [("b", {}, ["é"]), ("b", {"k": "2"}, [])]
    assert [e.tag for e in root(path)] == ["b", "b"]


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    text = "a<b>&\"'\n\x00\ud800é"
    path = tmp_path / "a.xml"
    path.write_text(f"<{tag('a', label=text)}/>", encoding="utf-8")
    assert root(path).attrib == {"label": clean(text)}
    assert clean(text) == "a<b>&\"'\n??é"
