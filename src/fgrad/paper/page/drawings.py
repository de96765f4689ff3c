"""Figures as SVG within a page: text that can be selected, in fonts that the page brings along."""

import base64
import re
from collections.abc import Iterable
from io import BytesIO
from xml.etree import ElementTree as ET

from fontTools import subset
from matplotlib.font_manager import FontProperties, findfont

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"

ELSE = ", Verdana, sans-serif"
"""What takes the place of a font: as wide as ours, then any."""

SCALE = 1.75
"""Pixels of a point where there is room."""

Font = tuple[str, str]
"""Family and style."""


class Drawing:
    """A figure to be put into a page.

    Args:
        text: SVG as matplotlib writes it, with text as text.
        name: of the figure, which its identifiers begin with, so that they are unique in the page.
        label: what is read aloud in its place.
    """

    def __init__(self, text: str, name: str, label: str) -> None:
        root = ET.fromstring(text)
        for parent in list(root.iter()):
            for child in list(parent):
                if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                    parent.remove(child)
        self.fonts = _fonts(root)
        _rename(root, name)
        width = root.attrib.pop("width")
        root.attrib.pop("height", None)
        root.attrib |= {"role": "img", "aria-label": label}
        root.set("style", f"max-width: {float(width.removesuffix('pt')) * SCALE:.0f}px")
        ET.register_namespace("", SVG[1:-1])
        found = ET.tostring(root, encoding="unicode")
        self.svg = re.sub(r"\s*\n\s*", " ", found).replace("> <", "><")


def faces(drawings: Iterable[Drawing]) -> str:
    """Style sheet with the fonts of some figures, the characters that are in them alone."""
    used: dict[Font, set[str]] = {}
    for one in drawings:
        for font, characters in one.fonts.items():
            used.setdefault(font, set()).update(characters)
    return "".join(_face(font, used[font]) for font in sorted(used))


def _fonts(root: ET.Element) -> dict[Font, set[str]]:
    """The characters of each font; families get what stands in for them."""
    found: dict[Font, set[str]] = {}
    for one in root.iter():
        style = one.get("style", "")
        family = re.search(r"font-family: ?'?([^';]+)'?", style)
        if family:
            slanted = "oblique" if re.search(r"font-style: ?(oblique|italic)", style) else "normal"
            found.setdefault((family[1], slanted), set()).update("".join(one.itertext()))
            one.set("style", style.replace(family[0], f"font-family: '{family[1]}'{ELSE}"))
    return found


def _rename(root: ET.Element, name: str) -> None:
    """Identifiers that something refers to become the figure's own; others go."""
    referred = set(re.findall(r"#([\w.-]+)", " ".join(" ".join(_links(e)) for e in root.iter())))
    for one in root.iter():
        own = one.attrib.pop("id", None)
        if own in referred:
            one.set("id", f"{name}-{own}")
        for key, value in list(one.attrib.items()):
            if key == f"{XLINK}href":
                del one.attrib[key]
                one.set("href", value.replace("#", f"#{name}-"))
            elif "url(#" in value:
                one.set(key, value.replace("url(#", f"url(#{name}-"))


def _links(one: ET.Element) -> list[str]:
    return [v for k, v in one.attrib.items() if k == f"{XLINK}href" or "url(#" in v]


def _face(font: Font, characters: set[str]) -> str:
    family, style = font
    properties = FontProperties(family=family, style="oblique" if style == "oblique" else "normal")
    options = subset.Options()
    options.flavor = "woff"
    options.layout_features = []
    options.drop_tables += ["FFTM"]  # a date
    options.recalc_timestamp = False
    with subset.load_font(findfont(properties), options) as loaded:
        subsetter = subset.Subsetter(options)
        subsetter.populate(text="".join(sorted(characters)))
        subsetter.subset(loaded)
        file = BytesIO()
        subset.save_font(loaded, file, options)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f"@font-face{{font-family:'{family}';font-style:{style};"
        f"src:url(data:font/woff;base64,{data}) format('woff')}}\n"
    )
