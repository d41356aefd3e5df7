"""The look of tables in notebooks, on a light and on a dark page.

Every rule starts at one class, `skmtl-repr`, so nothing else on the page is touched.
"""

from __future__ import annotations

# the colours of docs/draw_sharing.py (Okabe & Ito), chosen to part on white and on black alike
SHARED, MIXING, OWN = "#56B4E9", "#E69F00", "#009E73"
LIGHT = {
    "text": "#1f2328",
    "muted": "#59626c",
    "ground": "#ffffff",
    "line": "#d5dae0",
    "track": "#e9ecf0",
    "bar": "#6c8aa8",
    "good": "#00704f",
    "bad": "#b03a00",
    "flow": "#59626c",
    "input": "#c3c9d0",
}
DARK = {
    "text": "#e6e8ea",
    "muted": "#a3abb4",
    "ground": "#16181c",
    "line": "#3a4048",
    "track": "#2c3138",
    "bar": "#7f9fc0",
    "good": "#3fc79a",
    "bad": "#ff9a66",
    "flow": "#a3abb4",
    "input": "#5a626c",
}
# how JupyterLab, VS Code, Sphinx and Colab say which theme the page has; the system's may be another
THEMES = {
    "light": ('body[data-jp-theme-light="true"]', "body.vscode-light", 'html[data-theme="light"]'),
    "dark": (
        'body[data-jp-theme-light="false"]',
        "body.vscode-dark",
        "body.vscode-high-contrast:not(.vscode-high-contrast-light)",
        'html[data-theme="dark"]',
        'html[theme="dark"]',
    ),
}
# the class stands twice in every rule: notebooks have rules of their own for tables
RULES = """
{font:13px/1.35 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
 color:var(--skmtl-text);background:var(--skmtl-ground);border:1px solid var(--skmtl-line);
 border-radius:8px;box-sizing:border-box;width:fit-content;max-width:100%;overflow-x:auto;
 margin:8px 0;padding:10px 4px 8px;text-align:left;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;min-width:100%;table-layout:auto;margin:0;font-size:13px;border:0;width:auto;
 background:none;color:inherit}
caption{caption-side:top;text-align:left;color:var(--skmtl-muted);padding:0 9px 8px;
 font-size:13px;white-space:normal}
caption b{color:var(--skmtl-text);font-weight:600}
tr,tbody tr:nth-child(odd),tbody tr:hover{background:none;border:0}
th,td{height:34px;box-sizing:border-box;padding:0 9px;border:0;text-align:left;
 vertical-align:middle;white-space:nowrap;line-height:1.25;font-weight:400;color:inherit;
 background:none}
thead tr,thead{border:0}
thead th{height:24px;color:var(--skmtl-muted);font-size:12px;white-space:normal;
 vertical-align:bottom;padding-bottom:5px}
tbody td,tbody th{border-top:1px solid var(--skmtl-line)}
tbody th{font-weight:600}
.skmtl-num{text-align:right}
.skmtl-clip{max-width:min(20em,25vw);overflow:hidden;text-overflow:ellipsis}
.skmtl-muted{color:var(--skmtl-muted);font-weight:400}
.skmtl-good{color:var(--skmtl-good);font-weight:600}
.skmtl-bad{color:var(--skmtl-bad);font-weight:600}
.skmtl-track{display:block;width:48px;height:4px;margin:3px 0 0 auto;border-radius:2px;
 background:var(--skmtl-track);overflow:hidden}
.skmtl-track span{display:block;height:4px;border-radius:2px;background:var(--skmtl-bar)}
.skmtl-track .skmtl-fill-own{background:#009E73}
.skmtl-track .skmtl-fill-shared{background:#56B4E9}
td.skmtl-strip{padding:0 0 0 9px;line-height:0;border-top:0}
td.skmtl-strip+th{padding-left:6px}
.skmtl-two{padding-top:4px;padding-bottom:4px}
svg{display:block;overflow:visible;margin:0;max-width:none;vertical-align:middle}
.skmtl-flow{stroke:var(--skmtl-flow)}
.skmtl-input{fill:var(--skmtl-input)}
.skmtl-zero{stroke:var(--skmtl-muted)}
.skmtl-rail{stroke:var(--skmtl-track)}
.skmtl-notes{color:var(--skmtl-muted);font-size:12px;padding:8px 9px 0;margin:0;
 border-top:1px solid var(--skmtl-line)}
.skmtl-notes svg{display:inline-block;vertical-align:-1px;margin:0 4px 0 0}
.skmtl-notes span{margin-right:14px;display:inline-block}
"""

NARROW = """@media (max-width:700px){
.skmtl-repr.skmtl-repr .skmtl-wide{display:none}
.skmtl-repr.skmtl-repr td,.skmtl-repr.skmtl-repr th{padding-left:5px;padding-right:5px}
.skmtl-repr.skmtl-repr .skmtl-clip{max-width:19vw}
}"""


def _css() -> str:
    def variables(colours: dict[str, str]) -> str:
        return ";".join(f"--skmtl-{name}:{colour}" for name, colour in colours.items())

    rules = []
    for rule in RULES.replace("\n ", " ").strip().split("}\n"):
        selectors, body = rule.rstrip("}").replace("\n", " ").split("{")
        where = ",".join(f".skmtl-repr.skmtl-repr {s}".rstrip() for s in selectors.split(","))
        rules.append(f"{where}{{{body}}}")
    themes = {name: ",".join(f"{page} .skmtl-repr" for page in on) for name, on in THEMES.items()}
    return "\n".join(
        [
            f".skmtl-repr{{{variables(LIGHT)}}}",
            f"@media (prefers-color-scheme:dark){{.skmtl-repr{{{variables(DARK)}}}}}",
            f"{themes['light']}{{{variables(LIGHT)}}}",
            f"{themes['dark']}{{{variables(DARK)}}}",
            *rules,
            NARROW,
        ]
    )


STYLE = _css()
