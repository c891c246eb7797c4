"""Drawing and correcting in a real browser: what the page shows is what the server has stored."""

from __future__ import annotations

from typing import Any

import pytest

SQUARE = ((80, 10), (110, 10), (110, 40), (80, 40))  # 900 pixels of free ground


def areas(objects: list[dict[str, Any]]) -> list[int]:
    return sorted(each["area"] for each in objects)


def stored(studio: Any) -> list[int]:
    """Areas as the server has them."""
    answer = (
        "fetch(`/api/images/${studio.studio.image.id}/objects`).then((r) => r.json()).then((a) => a.objects)"
    )
    return areas(studio.js(answer))


def test_opens_without_a_complaint_and_asks_nobody_else(drawn: Any, cell_server: Any) -> None:
    assert areas(drawn.objects) == [400, 400, 400]
    assert drawn.troubles == []
    assert all(url.startswith((cell_server.address, "blob:")) for url in drawn.asked)
    assert drawn.colour(20, 20)[0] > 150 > drawn.colour(60, 60)[0]  # a square is bright, the ground is not


def test_a_polygon_is_drawn_taken_back_and_drawn_again(drawn: Any) -> None:
    drawn.polygon(*SQUARE)
    assert stored(drawn) == areas(drawn.objects) == [400, 400, 400, 900]
    drawn.keys("Control+z").settle()
    assert stored(drawn) == areas(drawn.objects) == [400, 400, 400]
    drawn.keys("Control+Shift+z").settle()
    drawn.page.reload()
    drawn.until("document.body.classList.contains('ready')")
    assert areas(drawn.objects) == [400, 400, 400, 900]


def test_a_polygon_closes_at_its_first_point_and_loses_its_last_by_backspace(drawn: Any) -> None:
    drawn.keys("p")
    for point in (*SQUARE[:2], (60, 80), *SQUARE[2:3]):
        drawn.click(*point)
    drawn.keys("Backspace", "Backspace")
    for point in (*SQUARE[2:], SQUARE[0]):
        drawn.click(*point)
    drawn.settle()
    assert areas(drawn.objects)[-1] == 900
    drawn.click(60, 60).keys("Escape")
    assert len(drawn.settle().objects) == 4


def test_a_freehand_outline_and_one_that_snaps_to_an_edge(drawn: Any) -> None:
    drawn.keys("p").drag(*SQUARE, SQUARE[0])
    drawn.keys("Enter").settle()
    assert areas(drawn.objects)[-1] == pytest.approx(900, rel=0.1)
    square = drawn.objects[2]
    drawn.keys("v").click(80, 60).keys("Delete").settle()
    assert square["id"] not in [each["id"] for each in drawn.objects]
    drawn.keys("p", "a")
    for point in ((70, 50), (90, 50), (90, 70), (70, 70)):
        drawn.click(*point)
    drawn.keys("Enter").settle()
    assert drawn.objects[-1]["area"] == pytest.approx(400, rel=0.15)


def test_brush_and_eraser(drawn: Any) -> None:
    drawn.keys("b")
    drawn.js("studio.stage.tool.size(5)")
    drawn.drag((70, 25), (100, 25))
    new = drawn.objects[-1]
    assert len(drawn.objects) == 4 and 330 < new["area"] < 430  # a stadium of radius 5 and length 30
    assert drawn.selected == [new["id"]]
    drawn.drag((100, 25), (100, 40))
    assert drawn.objects[-1]["area"] > new["area"] + 80
    drawn.keys("e").drag((100, 20), (100, 45))
    assert drawn.objects[-1]["area"] < new["area"]
    for _ in range(3):
        drawn.keys("Control+z").settle()
    assert stored(drawn) == [400, 400, 400]


def test_box_hole_and_filled_hole(drawn: Any) -> None:
    drawn.keys("r").drag((80, 10), (110, 40))
    assert areas(drawn.objects)[-1] == 900
    drawn.polygon((90, 20), (100, 20), (100, 30), (90, 30), key="o")
    assert areas(drawn.objects)[-1] == 800
    assert drawn.colour(95, 25) != drawn.colour(85, 15)
    drawn.keys("Shift+O").settle()
    assert areas(drawn.objects)[-1] == 900


def test_split_and_merge(drawn: Any) -> None:
    drawn.keys("k").drag((5, 20), (35, 20))
    halves = areas(drawn.objects)[:2]
    assert sum(halves) == 400 and min(halves) > 150 and len(drawn.objects) == 4
    assert len(drawn.selected) == 2
    drawn.keys("m").settle()
    assert areas(drawn.objects) == [400, 400, 400]
    drawn.keys("Control+z", "Control+z").settle()
    assert stored(drawn) == areas(drawn.objects) == [400, 400, 400]


def test_points_are_moved_added_and_removed(drawn: Any) -> None:
    drawn.polygon(*SQUARE).keys("n")
    drawn.drag((110, 40), (115, 45))
    assert areas(drawn.objects)[-1] > 1000
    drawn.drag((80, 25), (75, 25))  # an edge becomes a point
    assert len(drawn.objects[-1]["rings"][0]) == 10
    drawn.page.mouse.move(*drawn.place(75, 25))
    drawn.keys("Delete").settle()
    assert len(drawn.objects[-1]["rings"][0]) == 8
    drawn.keys("v").click(20, 20).keys("n")  # what is selected stays so from tool to tool
    drawn.drag((30, 30), (34, 34))
    assert drawn.objects[0]["area"] > 430


def test_select_move_class_order_and_delete(drawn: Any) -> None:
    drawn.keys("v").drag((5, 5), (65, 35))
    assert len(drawn.selected) == 2
    drawn.keys("2").settle()
    classes = [each["class_id"] for each in drawn.objects]
    assert classes[0] == classes[1] != classes[2]
    drawn.keys("Escape").click(80, 60)
    drawn.keys("Alt+ArrowRight", "Alt+Shift+ArrowDown").settle()
    assert drawn.objects[2]["box"] == [71, 60, 91, 80]
    drawn.drag((80, 70), (85, 70))
    assert drawn.objects[2]["box"] == [76, 60, 96, 80]
    top = max(each["z"] for each in drawn.objects)
    drawn.click(20, 20).keys("Control+]").settle()
    assert drawn.objects[0]["z"] > top
    drawn.keys("Shift+C").settle()
    assert drawn.objects[0]["crowd"]
    drawn.keys("Control+a", "Delete").settle()
    assert stored(drawn) == []
    drawn.keys("Control+z").settle()
    assert stored(drawn) == [400, 400, 400]


def test_comments_on_an_object_and_on_the_image(drawn: Any) -> None:
    drawn.keys("v").click(20, 20).keys("Shift+N")
    drawn.page.keyboard.type("<b>odd</b>")
    drawn.page.get_by_role("button", name="Keep").click()
    drawn.settle()
    assert drawn.objects[0]["comment"] == "<b>odd</b>"
    drawn.keys("Alt+4")
    drawn.page.get_by_label("A comment on this image").fill("look again")
    drawn.keys("Control+Enter")
    drawn.until("document.querySelector('.comments').textContent.includes('look again')")
    assert "comment" in drawn.page.locator(".history").inner_text()
    assert drawn.page.locator("b").count() == 0  # text never becomes markup


def test_history_brings_back_any_state(drawn: Any) -> None:
    drawn.keys("v", "Control+a", "Delete").settle()
    drawn.keys("Alt+4")
    drawn.until("document.querySelectorAll('.history li').length === 2")
    drawn.page.locator(".history li button").last.click()
    drawn.until("studio.studio.objects.size === 3")
    assert stored(drawn) == [400, 400, 400]


def test_filters_choose_what_the_canvas_shows(drawn: Any) -> None:
    drawn.keys("v").click(20, 20).keys("2", "Escape").settle()
    assert drawn.page.locator("#side .object-row").count() == 3
    drawn.page.get_by_label("Class", exact=True).last.select_option(label="debris")
    drawn.until("document.querySelectorAll('#side .object-row').length === 1")
    drawn.settle()
    assert "1 of 3" in drawn.page.locator("#side").inner_text()
    drawn.click(50, 20)
    assert drawn.selected == []  # what is not shown is not selected
    assert len(drawn.click(20, 20).selected) == 1


def test_states_search_and_the_list(drawn: Any) -> None:
    name = drawn.js("studio.studio.image.name")
    drawn.keys("Shift+2")
    drawn.until("studio.studio.image.state === 'done'")
    drawn.until("studio.studio.project.counts.done > 0")
    drawn.keys("Shift+4")
    drawn.until("studio.studio.image.state === 'rejected'")
    drawn.keys("/")
    drawn.page.keyboard.type(name)
    drawn.until("document.querySelectorAll('.image-row').length === 1")
    drawn.page.get_by_label("Find an image by name").fill("")
    drawn.until("studio.images.total === 130")
    drawn.page.get_by_label("State", exact=True).select_option("rejected")
    drawn.until("studio.images.total < 130 && studio.images.known.every((each) => each.state === 'rejected')")


def test_the_list_fetches_what_comes_into_sight(cell_server: Any, new_page: Any) -> None:
    studio = new_page().open(cell_server.address, 1)
    assert studio.js("studio.images.known.length") == 100
    studio.page.get_by_role("listbox", name="Images").focus()
    studio.keys("End")
    studio.until("studio.images.known[129] !== undefined")
    studio.keys("Enter")
    studio.until("studio.studio.image.name === 'cell 129.png'")
    studio.until("document.querySelector('.image-row.open .name').textContent === 'cell 129.png'")
    assert studio.page.locator(".image-row").count() < 40


def test_pressed_twice_goes_two_images_on(cell_server: Any, new_page: Any) -> None:
    studio = new_page().open(cell_server.address, 1)
    studio.keys("PageDown", "PageDown", "PageDown", "PageUp")
    studio.until("studio.studio.image.name === 'cell 002.png'")


def test_channel_gamma_and_range_change_the_picture(drawn: Any) -> None:
    drawn.keys("t").settle()  # the image alone
    before = drawn.colour(20, 20)
    drawn.keys("Shift+D", "Shift+D", "Shift+D").settle()
    assert sum(drawn.colour(20, 20)) < sum(before)
    drawn.keys("i").settle()
    assert drawn.colour(20, 20) == before
    drawn.keys("l", "l").settle()  # the second channel, in grey
    grey = drawn.colour(20, 20)
    assert grey[0] == grey[1] == grey[2]


def test_zoom_and_pan(drawn: Any) -> None:
    x, y = drawn.place(60, 45)
    before = drawn.js("studio.studio.view.scale")
    drawn.page.mouse.move(x, y)
    drawn.page.mouse.wheel(0, -300)
    drawn.until(f"studio.studio.view.scale > {before}")
    assert drawn.settle().place(60, 45) == pytest.approx((x, y), abs=1)
    drawn.page.mouse.down(button="middle")
    drawn.page.mouse.move(x + 50, y + 20)
    drawn.page.mouse.up(button="middle")
    assert drawn.place(60, 45) == pytest.approx((x + 50, y + 20), abs=1)
    drawn.keys("Shift+Digit0").settle()
    assert drawn.js("studio.studio.view.scale") == 1
    drawn.keys("0").settle()
    assert drawn.js("studio.studio.view.scale") == pytest.approx(before)


def test_light_and_dark(drawn: Any) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = drawn.js(ground)
    drawn.page.emulate_media(color_scheme="dark")
    drawn.until(f"{ground} !== '{light}'")
    drawn.keys("Shift+T")  # light, whatever the system says
    drawn.until(f"{ground} === '{light}'")


def test_a_screen_of_two_pixels_a_point(cell_server: Any, new_page: Any) -> None:
    studio = new_page(device_scale_factor=2).open(cell_server.address, 2)
    assert studio.js("studio.studio.view.width") == 2 * studio.js(
        "document.getElementById('stage').clientWidth"
    )
    studio.polygon(*SQUARE)
    assert areas(studio.objects)[-1] == 900
    assert len(studio.keys("v").click(20, 20).selected) == 1


def test_objects_go_on_to_the_next_image(drawn: Any) -> None:
    here = drawn.js("studio.studio.image.id")
    drawn.keys("v").click(20, 20).keys("g")
    drawn.until(f"studio.studio.image.id === {here + 1} && studio.studio.objects.size > 3", 120)
    carried = [each for each in drawn.settle().objects if each["suggested"]]
    assert len(carried) == 1
    assert carried[0]["box"] == pytest.approx([10, 10, 30, 30], abs=4)
    drawn.keys("Control+z").settle()
