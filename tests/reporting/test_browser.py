"""The report in a real browser: Debian's chromium and chromium-driver, and selenium of the extra report-test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lo2dask.commands.explain import explain
from lo2dask.commands.load import load
from lo2dask.commands.report import report
from lo2dask.commands.train import train
from lo2dask.execute.session import Session
from lo2dask.options import ExplainOptions, LoadOptions, ReportOptions, SynthOptions, TrainOptions

pytestmark = pytest.mark.browser
DESKTOP, PHONE = 1280, 390


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window; every console message and every request is recorded."""
    webdriver = pytest.importorskip("selenium.webdriver")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("chromium and chromium-driver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def synth_page(tmp_path_factory) -> Path:
    """The report of a made-up tree, through all stages."""
    from lo2dask.synthesis import write_tree

    folder = tmp_path_factory.mktemp("browser")
    write_tree(SynthOptions(out=folder / "tree", scale=0.02, runs=5, errors_per_run=2, jobs=1))
    root, session = folder / "out", Session.serial()
    load(LoadOptions(root=folder / "tree", output_dir=root), session)
    train(TrainOptions(root=root, models=("event_lr_words", "event_xgb_words", "event_lof_words")), session)
    explain(ExplainOptions(root=root), session)
    return report(ReportOptions(root=root)).html


def show(browser: Any, page: Path, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())


def requests(browser: Any) -> list[str]:
    import json

    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith("data:")]


def save_screenshot(browser: Any, name: str) -> None:
    folder = os.environ.get("LO2DASK_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_page_opens_without_error_request_or_sideways_scroll(browser, synth_page, width):
    show(browser, synth_page, width)
    assert browser.get_log("browser") == []
    assert requests(browser) == [synth_page.as_uri()]
    for section in ("flow", "read", "coverage", "models", "model-m1", "flagged", "files", "parameters"):
        assert browser.execute_script("return document.getElementById(arguments[0]).offsetHeight", section) > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    save_screenshot(browser, f"report-{width}")
    browser.execute_script("document.getElementById('flagged').scrollIntoView({behavior: 'instant'})")
    save_screenshot(browser, f"report-{width}-flagged")


def test_tables_sort_by_keyboard_and_say_so(browser, synth_page):
    show(browser, synth_page, DESKTOP)
    head = "document.querySelectorAll('#models table.sortable th')[8]"
    cells = "return [...document.querySelectorAll('#models tbody tr')].map(r => Number(r.cells[8].textContent))"
    for direction, order in (("ascending", 1), ("descending", -1)):
        browser.execute_script(f"{head}.querySelector('button').focus()")
        browser.switch_to.active_element.send_keys("\n")
        assert browser.execute_script(f"return {head}.getAttribute('aria-sort')") == direction
        values = browser.execute_script(cells)
        assert values == sorted(values)[::order]


def test_filters_leave_what_was_asked_for(browser, synth_page):
    from selenium.webdriver.support.select import Select

    show(browser, synth_page, DESKTOP)
    visible = (
        "return [...document.querySelectorAll('details.flagged')].filter(d => !d.hidden).map(d => d.dataset[{!r}])"
    )
    for field, place in (("model", 0), ("service", 1), ("case", 2)):
        select = Select(browser.find_elements("css selector", ".filters select")[place])
        wanted = browser.execute_script(visible.format(field))[-1]
        select.select_by_value(wanted)
        assert set(browser.execute_script(visible.format(field))) == {wanted}
        shown = len(browser.execute_script(visible.format(field)))
        assert browser.find_element("id", "shown").text == f"{shown} shown"
        select.select_by_value("")


def test_markup_of_a_log_does_nothing(browser, hostile_root):
    page = report(ReportOptions(root=hostile_root)).html
    show(browser, page, DESKTOP)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.title.startswith("lo2dask report")
    assert browser.get_log("browser") == []
    assert requests(browser) == [page.as_uri()]
    assert "<script>document.title='owned'</script>" in browser.find_element("id", "flagged").text
    assert len(browser.find_elements("css selector", "img[onerror]")) == 0


def test_names_roles_and_languages_are_there_for_screen_readers(browser, synth_page):
    show(browser, synth_page, DESKTOP)
    script = """
      const text = (e) => e ? e.textContent.trim() : '';
      const named = (e) => e.getAttribute('aria-label') || text(e) || text(e.closest('label'));
      return {
        lang: document.documentElement.lang,
        images: [...document.images].filter(i => !i.alt).length,
        pictures: [...document.querySelectorAll('svg')].filter(s => !s.querySelector('title')).length,
        controls: [...document.querySelectorAll('button, select, summary, a')].filter(e => !named(e)).length,
        headings: [...document.querySelectorAll('th')].filter(h => !h.scope).length,
      }"""
    assert browser.execute_script(script) == {"lang": "en", "images": 0, "pictures": 0, "controls": 0, "headings": 0}
