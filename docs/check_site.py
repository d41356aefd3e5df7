"""Open the built site in headless Chromium and look: ``make docs-check``.

Every link and picture of every page must lead to a file of the site, and to an anchor that is there.
In the browser: the navigation leads from the front page to every section, search finds, pictures have
pixels, and no page reports an error.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECTIONS = ["Quick start", "User guide", "Examples", "API reference", "Benchmarks"]
SECTIONS += ["Coming from", "Architecture", "Contributing", "Security", "Changelog"]
SEARCHES = {
    "PCGrad": "weighting.html",
    "BatchedGridSearchCV": "skmtl.model_selection",
    "missing labels": "",
}


class Page(HTMLParser):
    """What a page points at, and what can be pointed at in it."""

    def __init__(self, text: str):
        super().__init__()
        self.targets, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors |= {attributes[key] for key in ("id", "name") if attributes.get(key)}
        for key in ("href", "src"):
            if attributes.get(key) and tag in ("a", "img", "script", "link"):
                self.targets.append(attributes[key])


def pages_of(site: Path) -> list[Path]:
    """Return the files of all pages; what lies in _static is the theme's."""
    return sorted(p for p in site.rglob("*.html") if "_static" not in p.relative_to(site).parts)


def broken_links(site: Path) -> list[str]:
    """Return a line for each link inside the site that leads nowhere."""
    pages = {path.resolve(): Page(path.read_text("utf-8")) for path in pages_of(site)}
    found = []
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            lost = anchor and there in pages and anchor not in pages[there].anchors
            if not there.exists() or lost:
                found.append(f"{path.relative_to(site.resolve())}: {target}")
    return found


def serve(site: Path) -> tuple[http.server.ThreadingHTTPServer, str]:
    """Serve the site on a free port of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def browse(site: Path, base: str, browser) -> list[str]:
    """Return what is wrong with the site as Chromium shows it."""
    wrong: list[str] = []
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    page.on(
        "response",
        lambda r: (
            wrong.append(f"{r.url}: {r.status}")
            if r.status >= 400 and r.url.startswith(base)
            else None
        ),
    )
    page.goto(f"{base}/index.html")
    menu = page.eval_on_selector_all(
        "header a.nav-link, header .dropdown-item",
        "es => es.map(e => [e.innerText || e.textContent, e.href])",
    )
    links = {text.strip(): href for text, href in menu}
    for section in SECTIONS:
        found = [href for text, href in links.items() if text.startswith(section)]
        if not found:
            wrong.append(f"navigation: {section} is not in the menu {sorted(links)}")
            continue
        page.goto(found[0])
        if not page.locator("h1").first.inner_text().strip():
            wrong.append(f"{found[0]}: no heading")
    page.goto(f"{base}/index.html")
    page.locator("header a.nav-link", has_text="User guide").first.click()
    if "guide" not in page.url:
        wrong.append(f"a click on User guide leads to {page.url}")
    for words, expected in SEARCHES.items():
        page.goto(f"{base}/search.html?q={words}")
        page.wait_for_selector("#search-results li", timeout=20_000)
        page.wait_for_function(
            "document.querySelector('.search-summary')?.innerText.match(/found/)"
        )
        hits = page.eval_on_selector_all("#search-results li a", "es => es.map(e => e.href)")
        if not any(expected in hit for hit in hits):
            wrong.append(f"search for {words!r} finds {hits[:5]}")
    n_pictures = 0
    for path in pages_of(site):
        if "<img" not in path.read_text("utf-8"):
            continue
        page.goto(f"{base}/{path.relative_to(site)}")
        page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
        page.wait_for_function("[...document.images].every(i => i.complete)")
        empty = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
        n_pictures += page.evaluate("document.images.length")
        wrong += [f"{page.url}: {source} has no pixels" for source in empty]
    print(f"{n_pictures} pictures seen")  # noqa: T201
    return wrong


def main(site: Path) -> int:
    """Check; the exit status is 1 if something is wrong."""
    from playwright.sync_api import sync_playwright

    wrong = [f"broken link: {line}" for line in broken_links(site)]
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        sys.exit(f"Needs one of {BROWSERS} (Debian: chromium).")
    server, base = serve(site)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        wrong += browse(site, base, browser)
        browser.close()
    server.shutdown()
    n_pages = len(pages_of(site))
    print("\n".join(wrong) or f"{n_pages} pages: nothing is broken")  # noqa: T201
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "output/docs")))
