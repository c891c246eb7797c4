"""Several people at once, roles, a server that dies in mid-stroke, and the model that draws first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


def size(studio: Any) -> int:
    return len(studio.objects)


@pytest.fixture(scope="module")
def team(chromium: Any, make_server: Any, make_cells: Any, tmp_path_factory: Any) -> Any:
    folder = make_cells(tmp_path_factory.mktemp("team") / "cells", 6)
    users = ("ada:annotator", "ben:reviewer", "eve:viewer")
    return make_server(folder, *(part for user in users for part in ("--user", user)))


@pytest.fixture
def as_user(team: Any, new_page: Callable[..., Any]) -> Callable[..., Any]:
    def make(user: str, image: int) -> Any:
        studio = new_page()
        studio.page.goto(f"{team.address}/login?token={team.token(user)}")
        return studio.open(team.address, image)

    return make


def test_two_people_see_each_other_and_cannot_overwrite(as_user: Any) -> None:
    ada, ben = as_user("ada", 1), as_user("ben", 1)
    ada.keys("r").drag((80, 10), (110, 40))
    ben.until("studio.studio.objects.size === 4")
    first = ada.objects[0]["id"]
    # Ben changes an object whose news Ada has not heard: her edit must not win.
    ada.js("studio.live.stop.abort()")
    ben.keys("v").click(20, 20).keys("Alt+ArrowRight").settle()
    ada.keys("v").click(20, 20).keys("Alt+Shift+ArrowDown")
    ada.until("document.querySelector('.toast.bad') !== null")
    ada.settle()
    assert "ben changed this meanwhile" in ada.said
    moved = next(each for each in ada.objects if each["id"] == first)
    assert moved["box"] == [11, 10, 31, 30]  # Ben's, not Ada's
    ada.page.get_by_role("button", name="Do mine on top").click()
    ben.until(f"studio.studio.objects.get({first}).box[1] === 20")
    assert ben.js(f"studio.studio.objects.get({first}).box") == [11, 20, 31, 40]
    ada.troubles[:] = [each for each in ada.troubles if "409" not in each]


def test_a_state_that_someone_sets_shows_at_once(as_user: Any) -> None:
    ada, ben = as_user("ada", 2), as_user("ben", 2)
    ben.keys("Shift+3")
    ada.until("studio.studio.image.state === 'reviewed'")
    ada.until("document.querySelector('.segmented .reviewed').getAttribute('aria-pressed') === 'true'")


def test_a_viewer_looks_and_changes_nothing(as_user: Any) -> None:
    eve = as_user("eve", 3)
    assert eve.page.locator("#tool-polygon").count() == 0
    eve.keys("v").click(20, 20).keys("Delete").settle()
    assert len(eve.selected) == 1 and size(eve) == 3


def test_without_a_token_the_page_asks_for_one(team: Any, new_page: Any) -> None:
    stranger = new_page()
    stranger.page.goto(team.address)
    stranger.page.get_by_label("Token").fill(team.token("ada"))
    stranger.keys("Enter")
    stranger.until("document.body.classList.contains('ready')")
    stranger.troubles[:] = [each for each in stranger.troubles if "401" not in each]


def test_a_server_killed_in_mid_stroke_loses_nothing(
    new_page: Any, make_server: Any, make_cells: Any, tmp_path: Path
) -> None:
    folder = make_cells(tmp_path / "cells", 2)
    server = make_server(folder)
    studio = new_page().open(server.address, 1)
    studio.keys("r").drag((80, 10), (110, 40))
    studio.keys("Escape", "b").page.mouse.move(*studio.place(20, 60))
    studio.page.mouse.down()
    studio.page.mouse.move(*studio.place(40, 60), steps=4)
    server.kill()
    studio.page.mouse.up()
    studio.until("document.getElementById('status').innerText.includes('Not saved yet')")
    assert "leave the page open" in studio.page.locator("#notice").inner_text()
    make_server(folder, port=server.port)
    studio.until("studio.edits.waiting === 0")
    drawn = sorted(each["area"] for each in studio.settle().objects)
    assert len(drawn) == 5 and drawn[-1] == 900
    studio.page.reload()
    studio.until("document.body.classList.contains('ready')")
    assert sorted(each["area"] for each in studio.objects) == drawn
    studio.troubles.clear()  # requests that found no server


@pytest.fixture(scope="module")
def model_server(chromium: Any, make_server: Any, tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("model") / "photos"
    folder.mkdir()
    for name in ("fluorescence.png", "stained-tissue.png"):
        shutil.copy(SAMPLES / name, folder)
    return make_server(folder, "--model", "nuclei", "--class", "nucleus")


@pytest.fixture
def nuclei(model_server: Any, new_page: Any) -> Any:
    return new_page().open(model_server.address, 1)


def test_the_model_draws_and_its_suggestions_are_judged(nuclei: Any) -> None:
    nuclei.keys("d")
    nuclei.until("studio.studio.objects.size > 10", 120)
    nuclei.settle()
    everything = nuclei.objects
    assert all(each["suggested"] and each["source"] == "model" for each in everything)
    middle = sorted(each["score"] for each in everything)[len(everything) // 3]
    nuclei.js("(threshold) => studio.studio.keep({ threshold })", middle)
    below = [each["id"] for each in everything if each["score"] < middle]
    nuclei.keys("Shift+X").settle()
    assert size(nuclei) == len(everything) - len(below)
    nuclei.keys("Shift+Y").settle()
    assert not any(each["suggested"] for each in nuclei.objects)
    nuclei.keys("Control+z", "Control+z").settle()
    assert size(nuclei) == len(everything) and all(each["suggested"] for each in nuclei.objects)
    nuclei.keys("v", ".").keys("y").settle()
    assert sum(not each["suggested"] for each in nuclei.objects) == 1
    nuclei.keys("x", "Control+a", "Delete").settle()
    assert size(nuclei) == 0


def test_a_click_outlines_and_a_second_corrects(nuclei: Any) -> None:
    before = size(nuclei)
    nuclei.keys("s")
    brightest = """(() => { const { view, image } = studio.studio; let best = [0, 0, 0];
        for (let y = 20; y < image.height - 20; y += 8) for (let x = 20; x < image.width - 20; x += 8) {
          const [r] = studio.stage.context.getImageData(...view.toScreen(x, y), 1, 1).data;
          if (r > best[2]) best = [x, y, r]; } return best; })()"""
    x, y, _ = nuclei.js(brightest)
    nuclei.click(x, y)
    nuclei.until("studio.stage.tool.proposal !== null", 120)
    nuclei.click(2, 2, button="right")
    nuclei.until("studio.stage.tool.running === null")
    assert len(nuclei.js("studio.stage.tool.points")) == 2
    nuclei.keys("Backspace")
    nuclei.until("studio.stage.tool.running === null && studio.stage.tool.points.length === 1")
    nuclei.keys("Enter").settle()
    assert size(nuclei) == before + 1
    made = nuclei.objects[-1]
    assert made["box"][0] <= x <= made["box"][2] and made["box"][1] <= y <= made["box"][3]
    nuclei.keys("Escape", "w").click(x, y)
    nuclei.until("studio.stage.tool.proposal !== null")
    nuclei.page.get_by_role("button", name="Keep").click()
    nuclei.settle()
    assert size(nuclei) == before + 2
    nuclei.keys("Control+a", "Delete").settle()


def test_the_export_is_a_file(nuclei: Any) -> None:
    nuclei.keys("r").drag((20, 20), (60, 60))
    nuclei.keys("Shift+E")
    with nuclei.page.expect_download() as download:
        nuclei.page.get_by_role("dialog").get_by_role("button", name="Export").click()
    assert download.value.path().stat().st_size > 100
    nuclei.until("document.getElementById('toasts').innerText.includes('1 objects of 2 images')")
    nuclei.keys("Control+z").settle()
