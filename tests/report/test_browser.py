"""The report in a real browser, driven over the WebDriver protocol (W3C 2018) with nothing but the standard library."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from causalsem.identify import Query, identify
from causalsem.report import explore, write_report

pytestmark = pytest.mark.browser
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1300,1000"),
]
CHINESE = {"exposure": "曝光", "browse": "浏览", "buy": "购买"}


class Browser:
    """One session of chromium."""

    def __init__(self, port: int, profile: Path) -> None:
        self.root = f"http://127.0.0.1:{port}/session"
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": shutil.which("chromium")}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self.root += "/" + self.post("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def post(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        # The only server asked is our own driver on this machine.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path) -> None:
        self.post("/url", {"url": path.as_uri()})

    def run(self, script: str) -> Any:
        return self.post("/execute/sync", {"script": script, "args": []})

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Run a script until what it returns is true, and return that."""
        for _ in range(int(4 * seconds)):
            if found := self.run(script):
                return found
            time.sleep(0.25)
        raise TimeoutError(f"not within {seconds} s: {script}")

    def find(self, css: str) -> str:
        return str(self.post("/element", {"using": "css selector", "value": css})[ELEMENT])

    def click(self, css: str) -> None:
        self.post(f"/element/{self.find(css)}/click")

    def press(self, css: str, keys: str) -> None:
        self.post(f"/element/{self.find(css)}/value", {"text": keys})

    def text(self, css: str) -> str:
        return " ".join(str(self.post(f"/element/{self.find(css)}/text", method="GET")).split())

    def log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.post("/se/log", {"type": kind}))

    def close(self) -> None:
        """End the session; without it the browser outlives its driver."""
        self.post("", method="DELETE")

    def picture(self) -> bytes:
        return base64.b64decode(self.post("/screenshot", method="GET"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs a browser; run: apt-get install chromium chromium-driver")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        session = started(port, tmp_path_factory.mktemp("profile"))
        yield session
        session.close()
    finally:
        driver.terminate()
        driver.wait(timeout=20)


def started(port: int, profile: Path) -> Browser:
    """Return a session as soon as the driver answers."""
    for _ in range(100):
        try:
            return Browser(port, profile)
        except urllib.error.URLError:
            time.sleep(0.1)
    raise TimeoutError(f"chromedriver does not answer on port {port}")


@pytest.fixture
def page(browser, make_findings, tmp_path) -> Browser:
    browser.open(write_report(make_findings(CHINESE), tmp_path / "report.html"))
    return browser


def shown_edges(page: Browser) -> int:
    return int(page.run("return [...document.querySelectorAll('.edge')].filter(e => getComputedStyle(e).display !== 'none').length"))


def test_the_page_opens_without_a_request_or_a_complaint(page):
    events = [json.loads(entry["message"])["message"] for entry in page.log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    # chrome: is the browser's own empty first tab.
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "chrome"}
    assert page.log("browser") == []
    assert page.run("return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length") == 0


def test_the_slider_hides_unsure_edges_and_counts_the_rest(page):
    assert (page.text("#count"), shown_edges(page)) == ("11", 11)
    page.run("const s = document.querySelector('#least'); s.value = 70; s.dispatchEvent(new Event('input'))")
    assert (page.text("#count"), shown_edges(page), page.text("#least-shown")) == ("10", 10, "70 %")
    page.press("#least", "\ue010")  # the End key
    assert page.text("#least-shown") == "100 %"


def test_a_click_on_a_variable_tells_its_causes_and_effects(page):
    page.click(".node[data-n='4'] text")
    assert page.text("#info") == "浏览 points to it: activity, 曝光 it points to: dwell, cart"
    page.press(".node[data-n='4']", "\ue007")
    assert "Click or press Enter" in page.text("#info")


def test_the_keyboard_reaches_an_arrow_and_escape_leaves_it(page):
    page.press(".edge[data-a='3'][data-b='4']", "\ue007")
    assert page.text("#info").startswith("曝光 → 浏览 · 0.")
    assert "100 %" in page.text("#info")
    page.press(".edge[data-a='3'][data-b='4']", "\ue00c")
    assert "Click or press Enter" in page.text("#info")


def test_labels_change_to_confidence(page):
    page.run("const s = document.querySelector('#labels'); s.value = 'confidence'; s.dispatchEvent(new Event('change'))")
    assert page.run("return document.querySelector(\".edge[data-a='0'][data-b='7'] text\").textContent") == "50 %"


def test_the_question_is_marked_in_the_graph(page):
    colour = "return getComputedStyle(document.querySelector(\".edge[data-a='3'][data-b='4'] .line\")).stroke"
    before = page.run(colour)
    page.click("#mark")
    assert page.run(colour) != before
    assert marked(page, "node.adjusted") == ["activity", "age", "price"]
    assert marked(page, "node.forbidden") == ["cart", "dwell", "review", "浏览"]
    assert page.text("#told").startswith("The effect is identified. Adjust for: age, activity, price.")
    assert "on a path from treatment to outcome" in page.text(".legend")


def marked(page: Browser, css: str) -> list[str]:
    """Return the names of what bears a class, sorted."""
    return sorted(page.run(f"return [...document.querySelectorAll('.{css}')].map(x => x.querySelector('title').textContent)"))


def chosen(page: Browser, treatment: str, outcome: str) -> None:
    """Choose a question as a person does, by the names in the two lists."""
    for which, name in (("treatment", treatment), ("outcome", outcome)):
        page.run(
            f"const s = document.querySelector('#{which}'); s.value = [...s.options].find(o => o.text === '{name}').value;"
            "s.dispatchEvent(new Event('change'))"
        )


def test_any_treatment_and_outcome_can_be_chosen(page, make_findings):
    graph = make_findings(CHINESE).graph
    for treatment, outcome in (("浏览", "购买"), ("activity", "购买"), ("age", "浏览")):
        chosen(page, treatment, outcome)
        found = identify(graph, Query(treatment, outcome))
        assert marked(page, "node.adjusted") == sorted(found.variables)
        causal = {words.split(" · ")[0] for words in marked(page, "edge.causal")}
        above, below = graph.ancestors(outcome), graph.descendants(treatment)
        assert causal == {f"{a} → {b}" for a, b, _, _ in graph.edges if a in below and b in above}
    chosen(page, "购买", "age")
    assert page.text("#told").startswith("No directed path")
    assert marked(page, "edge.causal") == []
    assert "activity → 购买" not in marked(page, "edge.biasing")
    chosen(page, "age", "age")
    assert page.text("#told").startswith("Choose a treatment and another variable")
    page.click("#mark")
    assert marked(page, "node.adjusted") == marked(page, "edge.biasing") == []


def test_the_matrix_follows_the_slider_and_the_labels(page):
    page.click("#matrix summary")
    cells = "return [...document.querySelectorAll('.cell')].filter(c => getComputedStyle(c).display !== 'none').length"
    assert page.run(cells) == 11
    page.run("const s = document.querySelector('#least'); s.value = 70; s.dispatchEvent(new Event('input'))")
    assert page.run(cells) == 10
    page.run("const s = document.querySelector('#labels'); s.value = 'confidence'; s.dispatchEvent(new Event('change'))")
    assert "→ 100 %" in page.text("#matrix")


def test_the_language_switches_both_ways(page):
    assert "consistent with a positive effect" in page.text(".answer")
    page.click("#switch")
    assert "正效应" in page.text(".answer")
    assert "consistent" not in page.text("main")
    assert page.text("#save") == "保存 SVG"
    page.click("#switch")
    assert page.text("#save") == "Save SVG"


def test_chinese_names_are_drawn_with_the_embedded_glyphs(page):
    loaded = "return document.fonts.ready.then(f => [...f].filter(x => x.status === 'loaded').map(x => x.family))"
    assert any("Causalsem CJK" in family for family in page.run(loaded))
    assert len(page.picture()) > 20_000


def test_the_card_of_a_notebook_works_inside_its_sandbox(browser, make_findings, tmp_path):
    found = make_findings()
    card = explore(found.graph, tiers=found.tiers, fit=found.fit, stability=found.stability)
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!DOCTYPE html><title>cell</title>{card._repr_html_()}", encoding="utf-8")
    browser.log("browser")
    browser.open(notebook)
    browser.post("/frame", {"id": {ELEMENT: browser.find("iframe")}})
    browser.click(".node[data-n='3'] text")
    told = browser.text("#info")
    browser.post("/frame", {"id": None})
    assert told == "exposure points to it: activity it points to: browse, buy"
    assert browser.log("browser") == []


AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
FINDINGS = """
const done = arguments[arguments.length - 1];
axe.run().then(r => done(r.violations.map(v => `${v.impact} ${v.id}: ${v.nodes.map(n => n.html.slice(0, 120)).slice(0, 3)}`)));
"""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_axe_core_finds_nothing_serious(browser, make_findings, tmp_path, language):
    if not AXE.exists():
        pytest.skip("needs axe-core; run: npm install --no-save axe-core@4")
    browser.open(write_report(make_findings(CHINESE), tmp_path / "report.html", language=language))
    browser.click("#mark")
    browser.click("#matrix summary")
    browser.run(AXE.read_text(encoding="utf-8") + "; window.axe = axe;")
    assert browser.run("return axe.version").startswith("4.")
    found = browser.post("/execute/async", {"script": FINDINGS, "args": []})
    assert [line for line in found if line.startswith(("serious", "critical"))] == []
    browser.run("document.body.append(document.createElement('img'))")
    planted = browser.post("/execute/async", {"script": FINDINGS, "args": []})
    assert any(line.startswith("critical image-alt") for line in planted)


NOTEBOOK = """
import causalsem as cs
cs.explore(cs.CausalGraph.parse("浏览 -> 加购; 加购 -> 购买; 浏览 -> 购买"))
"""


@pytest.fixture
def lab(tmp_path) -> Iterator[str]:
    """A JupyterLab of its own on a trusted notebook that was run; its address."""
    if importlib.util.find_spec("jupyterlab") is None:
        pytest.skip("needs JupyterLab; run: pip install jupyterlab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    nbformat.write(notebook, tmp_path / "card.ipynb")
    kept = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    environment = {**os.environ, **kept}
    subprocess.run(
        [sys.executable, "-m", "jupyter", "trust", str(tmp_path / "card.ipynb")], env=environment, check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        f"--ServerApp.root_dir={tmp_path}",
        "--IdentityProvider.token=",
        "--LabApp.news_url=",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(240):
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.25)
        yield f"http://127.0.0.1:{port}/lab/tree/card.ipynb"
    finally:
        server.terminate()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            # It may wait for its kernel, which ends by itself once the server is gone.
            server.kill()
            server.wait(timeout=15)


@pytest.mark.slow
def test_the_card_works_in_jupyterlab(browser, lab):
    browser.post("/url", {"url": lab})
    browser.wait("return document.querySelector('.jp-RenderedHTML iframe') !== null", 120)
    browser.post("/frame", {"id": {ELEMENT: browser.find(".jp-RenderedHTML iframe")}})
    browser.wait("return document.querySelector('#info')?.textContent.length > 0")
    browser.run("document.querySelector(\".node[data-n='0']\").dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    told = " ".join(browser.run("return document.querySelector('#info').textContent").split())
    browser.post("/frame", {"id": None})
    assert "加购" in told
    assert "购买" in told


def test_nothing_sticks_out_of_a_narrow_window(browser, make_findings, tmp_path):
    browser.post("/window/rect", {"width": 700, "height": 900})
    browser.open(write_report(make_findings(), tmp_path / "report.html"))
    wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    browser.post("/window/rect", {"width": 1300, "height": 1000})
    assert wide <= 0
