"""The tick sheet in a real browser, by keyboard: what is answered there is what infer reads."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from spurcli.auditing.page.sheet import draw, sheet_page
from spurcli.datasets import ArrayImages
from spurcli.inferring.tick_file import read_ticks

NUM = 80
LABEL = np.zeros(NUM, dtype=np.int64)
IDS = [f'a/{n}, "<b>ü</b>.png' for n in range(NUM)]
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM, 8, 8, 3), dtype=np.uint8)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        pytest.skip("no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def sheet(browser, tmp_path):
    """The sheet, opened from the file without network, and its items."""
    items = draw(LABEL, ("cat",), np.arange(NUM, dtype=np.float32), classes=[0], num=32)
    text = sheet_page(ArrayImages(PIXELS), items, LABEL, ("cat",), IDS, title="Tick", command="spurcli infer")
    (tmp_path / "ticks.html").write_text(text, encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 390, "height": 800}, accept_downloads=True)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto((tmp_path / "ticks.html").as_uri())
    yield page, items
    assert page.complaints == []
    context.close()


def test_ticked_by_keyboard_saved_and_read(sheet, tmp_path):
    page, items = sheet
    page.get_by_label("What do you look for?").fill('n, "red" y')  # these letters are no answers while one types
    page.keyboard.press("Tab")
    keys = [("y", "n", "u")[item.index % 3] for item in items]
    for place, key in enumerate(keys[:-1]):
        assert page.locator("#sample img").get_attribute("alt") == f"Picture {place + 1} of {len(items)}"
        page.keyboard.press(key)
    said = page.get_by_role("status")
    assert (
        said.inner_text()
        == f"{ {'y': 'Yes', 'n': 'No', 'u': 'Unsure'}[keys[-2]] }. Picture {len(items)} of {len(items)}."
    )
    page.keyboard.press("z")  # takes the last answer back and shows its sample again
    assert page.locator("#done").inner_text() == f"{len(items) - 2} answered"
    assert page.locator("#where").inner_text() == f"Picture {len(items) - 1} of {len(items)}"
    page.keyboard.press(keys[-2])
    page.reload()  # what was answered is still there
    assert page.locator("#done").inner_text() == f"{len(items) - 1} answered"
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("button", name="Yes").get_attribute("aria-pressed") == str(keys[-2] == "y").lower()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(keys[-1])
    assert page.get_by_text("All are answered.", exact=True).is_visible()
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "ticks.csv"
    download.value.save_as(tmp_path / "ticks.csv")
    found = read_ticks(tmp_path / "ticks.csv", LABEL, ("cat",), IDS)
    different = sorted({item.index for item in items})
    assert found.index.tolist() == different
    assert found.yes.tolist() == [n % 3 == 0 for n in different]
    assert found.sure.tolist() == [n % 3 != 2 for n in different]
    assert found.quartile.tolist() == [n // 20 for n in different]
    assert found.stratum_size.tolist() == [20] * 4
    assert (found.num_repeated, found.num_agreeing) == (5, 5)
    assert found.feature == 'n, "red" y'


def test_by_mouse_and_cleared_only_when_that_is_confirmed(sheet):
    page, items = sheet
    page.get_by_role("button", name="No", exact=True).click()
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Yes").click()
    assert page.locator("#done").inner_text() == "2 answered"
    assert page.locator("#where").inner_text() == f"Picture 4 of {len(items)}"
    for answer, left in (("Keep them", 2), ("Clear all", 0)):
        page.get_by_role("button", name="Clear all").click()
        page.get_by_role("dialog").get_by_role("button", name=answer).click()
        # A browser closes the dialog first and tells the page so in a later task.
        page.wait_for_function("text => document.getElementById('done').textContent === text", arg=f"{left} answered")
    assert page.get_by_role("button", name="Undo").is_disabled()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # on a phone
