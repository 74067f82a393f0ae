"""The report in a real browser: Debian's chromium and chromium-driver, and selenium of the extra report-test."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lo2dask.commands.report import report
from lo2dask.options import ReportOptions
from lo2dask.tables.layout import Layout
from reporting.made_tables import write_findings

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
def made_page(hostile_root) -> Path:
    """The report of a folder with findings, whose logs are markup."""
    return report(ReportOptions(root=hostile_root)).html


@pytest.fixture(scope="module")
def large_page(explained_root, tmp_path_factory) -> Path:
    """The same with 2,000 runs of a case each, a quarter of which stand out, with long lines."""
    root = tmp_path_factory.mktemp("large") / "out"
    shutil.copytree(explained_root, root)
    runs = [f"light-oauth2-data-{1719500000 + number}" for number in range(2000)]
    normals = [(run, "correct") for run in runs[500:]]
    write_findings(Layout(root), [(run, "register_user_400") for run in runs[:500]], normals, "word <b> & " * 150)
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


def shown_cases(browser: Any) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('details.finding')].filter(d => !d.hidden).map(d => d.id)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_page_opens_without_error_request_or_sideways_scroll(browser, made_page, width, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    show(browser, made_page, width)
    assert browser.get_log("browser") == []
    assert requests(browser) == [made_page.as_uri()]
    for section in ("findings", "map", "templates", "models", "model-if", "data", "read", "rejects", "parameters"):
        assert browser.execute_script("return document.getElementById(arguments[0]).offsetHeight", section) > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    save_screenshot(browser, f"report-{width}-{scheme}")
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_on_a_phone_tables_are_cards(browser, made_page):
    script = "return getComputedStyle(document.querySelector('#models table.cards tbody tr')).display"
    show(browser, made_page, PHONE)
    assert browser.execute_script(script) == "block"
    show(browser, made_page, DESKTOP)
    assert browser.execute_script(script) == "table-row"


def test_the_first_screen_names_the_findings(browser, made_page):
    show(browser, made_page, DESKTOP)
    script = "return document.querySelector('details.finding .why').getBoundingClientRect().bottom"
    assert browser.execute_script(script) < 450


def test_tables_sort_by_keyboard_and_say_so(browser, made_page):
    show(browser, made_page, DESKTOP)
    head = "document.querySelectorAll('#models table.sortable th')[7]"
    rows = "[...document.querySelector('#models table').tBodies[0].rows]"
    cells = f"return {rows}.map(r => Number(r.cells[7].textContent))"
    for direction, order in (("ascending", 1), ("descending", -1)):
        browser.execute_script(f"{head}.querySelector('button').focus()")
        browser.switch_to.active_element.send_keys("\n")
        assert browser.execute_script(f"return {head}.getAttribute('aria-sort')") == direction
        values = browser.execute_script(cells)
        assert len(values) > 1
        assert values == sorted(values)[::order]


def test_filters_leave_what_was_asked_for(browser, made_page):
    from selenium.webdriver.support.select import Select

    show(browser, made_page, DESKTOP)
    everything = shown_cases(browser)
    for field, place in (("run", 0), ("case", 1), ("service", 2), ("error", 3)):
        select = Select(browser.find_elements("css selector", ".filters select")[place])
        wanted = select.options[-1].get_attribute("value")
        select.select_by_value(wanted)
        left = shown_cases(browser)
        script = f"return [...document.querySelectorAll('details.finding:not([hidden])')].map(d => d.dataset.{field})"
        assert set(browser.execute_script(script)) == {wanted}
        assert browser.find_element("id", "shown").text == f"{len(left)} of {len(everything)} shown"
        select.select_by_value("")
    assert shown_cases(browser) == everything


def test_search_finds_any_text_of_a_finding(browser, made_page):
    show(browser, made_page, DESKTOP)
    everything, box = shown_cases(browser), browser.find_element("id", "search")
    box.send_keys("GET_TOKEN err1201")
    assert shown_cases(browser) == [name for name in everything if "get_token" in name]
    box.clear()
    box.send_keys("zebra")
    assert shown_cases(browser) == []
    assert browser.find_element("id", "nothing").is_displayed()


def test_an_anchor_opens_its_finding_and_lifts_the_filters(browser, made_page):
    show(browser, made_page, DESKTOP)
    name = shown_cases(browser)[-1]
    browser.find_element("id", "search").send_keys("zebra")
    browser.execute_script("location.hash = arguments[0]", name)
    is_open = "return document.getElementById(arguments[0]).open"
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert browser.execute_script(is_open, name)
    assert name in shown_cases(browser)
    browser.get("about:blank")
    browser.get(f"{made_page.as_uri()}#{name}")
    assert browser.execute_script(is_open, name)


def test_a_cell_of_the_map_leads_to_its_finding_by_keyboard(browser, made_page):
    show(browser, made_page, DESKTOP)
    browser.execute_script("document.querySelector('#map td a').focus()")
    link = browser.switch_to.active_element
    assert "stands out above 3" in link.get_attribute("aria-label")
    target = link.get_attribute("href").split("#")[1]
    link.send_keys("\n")
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert browser.execute_script("return document.getElementById(arguments[0]).open", target)


def test_a_line_is_copied_with_its_place(browser, made_page):
    show(browser, made_page, DESKTOP)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    button = browser.find_element("css selector", "button.copy")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    button.click()
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert button.text == "Copied"
    box = browser.find_element("id", "search")
    box.send_keys("\ue009v\ue000")
    assert ":812: ERROR <script>" in box.get_attribute("value")


def test_markup_of_a_log_does_nothing(browser, made_page):
    show(browser, made_page, DESKTOP)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.title.startswith("lo2dask report")
    assert browser.get_log("browser") == []
    assert requests(browser) == [made_page.as_uri()]
    assert "<script>document.title='owned'</script>" in browser.find_element("id", "findings").text
    assert len(browser.find_elements("css selector", "img")) == 0


def test_on_paper_everything_is_open(browser, made_page):
    show(browser, made_page, DESKTOP)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") > 0


def test_two_thousand_runs_are_a_page_that_opens_at_once(browser, large_page):
    assert large_page.stat().st_size < 10_000_000
    show(browser, large_page, PHONE)
    assert browser.get_log("browser") == []
    times = browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert times < 2_000
    assert len(shown_cases(browser)) == 200
    text = browser.find_element("id", "findings").text
    assert "500 of 2,000 runs stand out" in text
    assert "The first 200 of 500 findings are here" in text
    assert "The 2,000 runs share 60 rows" in browser.find_element("id", "map").text
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE
    save_screenshot(browser, "report-large")
    folded = "return document.getElementById('further').open"
    assert not browser.execute_script(folded)
    assert "180 further findings" in text
    browser.find_element("id", "search").send_keys("1719500150")
    assert browser.execute_script(folded)
    assert browser.find_element("css selector", "details.finding:not([hidden])").is_displayed()


def test_names_roles_and_languages_are_there_for_screen_readers(browser, made_page):
    show(browser, made_page, DESKTOP)
    script = """
      const text = (e) => e ? e.textContent.trim() : '';
      const named = (e) => e.getAttribute('aria-label') || text(e) || text(e.closest('label'));
      return {
        lang: document.documentElement.lang,
        pictures: [...document.querySelectorAll('svg')].filter(s => !s.querySelector('title')).length,
        controls: [...document.querySelectorAll('button, select, input, summary, a')].filter(e => !named(e)).length,
        headings: [...document.querySelectorAll('th')].filter(h => !h.scope).length,
      }"""
    assert browser.execute_script(script) == {"lang": "en", "pictures": 0, "controls": 0, "headings": 0}
