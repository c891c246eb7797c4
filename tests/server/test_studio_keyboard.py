"""The studio without a mouse: every tool, every part of the page, and the page that lists the keys."""

from __future__ import annotations

from typing import Any

MOST_STOPS = 90


def areas(objects: list[dict[str, Any]]) -> list[int]:
    return sorted(each["area"] for each in objects)


def go(studio: Any, x: float, y: float) -> None:
    """Moves the cross by arrow keys alone: one image pixel each with Shift."""
    studio.keys("Shift+ArrowRight")  # it appears where it is needed, in the middle
    at_x, at_y = studio.js("studio.stage.cross")
    for key, steps in (("Right", x - at_x), ("Left", at_x - x), ("Down", y - at_y), ("Up", at_y - y)):
        for _ in range(round(max(0, steps))):
            studio.page.keyboard.press(f"Shift+Arrow{key}")


def press(studio: Any, x: float, y: float) -> None:
    go(studio, x, y)
    studio.keys("Space")


def test_draws_corrects_and_reviews_by_keys_alone(drawn: Any) -> None:
    drawn.keys("Alt+0", "p")
    for point in ((80, 12), (110, 12), (110, 42), (80, 42)):
        press(drawn, *point)
    drawn.keys("Enter").settle()
    assert 860 < areas(drawn.objects)[-1] < 940
    drawn.keys("k")
    press(drawn, 76, 27)
    press(drawn, 114, 27)
    drawn.settle()
    assert len(drawn.objects) == 5 and len(drawn.selected) == 2
    drawn.keys("m").settle()
    assert len(drawn.objects) == 4
    drawn.keys("Escape", "b")
    press(drawn, 20, 60)
    press(drawn, 40, 60)
    drawn.settle()
    assert len(drawn.objects) == 5
    drawn.keys("v", "Escape")
    press(drawn, 20, 20)
    assert len(drawn.selected) == 1
    drawn.keys("2", "Delete").settle()
    assert len(drawn.objects) == 4
    drawn.keys("Control+z", "Control+z").settle()
    assert len(drawn.objects) == 5
    drawn.keys(".")
    assert "object" in drawn.said
    drawn.keys("Control+Enter")
    drawn.until("studio.studio.project.counts.done > 0 && !studio.studio.opening")


def test_tab_reaches_every_part_and_leaves_each(drawn: Any) -> None:
    where = """(() => { const at = document.activeElement; if (!at || at === document.body) return 'page';
        return (at.closest('#top, #images, #tools, #stage, #side') ?? {}).id ?? at.className; })()"""
    seen = []
    for _ in range(MOST_STOPS):
        drawn.keys("Tab")
        seen.append(drawn.js(where))
        if seen.count("skip") > 1 or (seen[-1] == "page" and len(seen) > 5):
            break
    assert {"skip", "top", "images", "tools", "stage", "side"} <= set(seen)
    assert len(seen) < MOST_STOPS


def test_everything_has_a_key_and_the_page_of_keys_shows_it(drawn: Any) -> None:
    drawn.keys("?")
    dialog = drawn.page.get_by_role("dialog", name="Every key")
    shown = dialog.inner_text()
    rows = drawn.page.locator("dialog tr").count()
    drawn.keys("Escape")
    drawn.until("!document.querySelector('dialog')")  # a page hears of it a moment later
    assert drawn.js("document.activeElement.id") in ("canvas", "") and rows > 60
    for title in drawn.js("[...document.querySelectorAll('#tools button')].map((each) => each.title)"):
        assert title.split(" (")[0] in shown
    drawn.keys("Control+k")
    drawn.page.keyboard.type("brush")
    drawn.until("document.querySelectorAll('.pick li').length > 0")
    names = drawn.page.locator(".pick li").all_inner_texts()
    assert any(name.startswith("Tools: Brush") for name in names)
    drawn.page.keyboard.type(" tools")
    drawn.keys("Enter")
    drawn.until("studio.stage.tool.title === 'Brush'")


def test_every_button_has_a_name(drawn: Any) -> None:
    nameless = """[...document.querySelectorAll('button, input, select, textarea')].filter((each) =>
        !each.textContent.trim() && !each.getAttribute('aria-label') && !each.title && !each.closest('label'))
        .map((each) => each.outerHTML)"""
    for panel in ("Alt+1", "Alt+2", "Alt+3", "Alt+4"):
        drawn.keys(panel)
        assert drawn.js(nameless) == []


def test_news_that_an_edit_overtook_brings_nothing_back(drawn: Any) -> None:
    drawn.js("""() => { const ask = window.fetch, held = new Promise((go) => window.letGo = go);
        window.arrived = 0;
        window.fetch = async (...asked) => { const answer = await ask(...asked);
            if (String(asked[0]).includes("events")) { window.arrived++; await held; }
            return answer; }; }""")
    drawn.keys("v", "Control+a", "2").settle()
    drawn.keys("1").settle()
    drawn.until("window.arrived === 1")
    assert len(drawn.objects) == 3
    drawn.keys("Delete").settle()
    assert drawn.objects == []
    drawn.js("window.letGo()")
    drawn.until("window.arrived > 1")
    assert drawn.objects == []
