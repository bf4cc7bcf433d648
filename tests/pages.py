"""What a page says, to somebody who reads its HTML."""

from html.parser import HTMLParser

#: What begins a line of its own, so that the order of its letters ends with it. All that is not here stands within a line.
_BLOCKS = frozenset({
    "article", "aside", "body", "button", "caption", "dd", "details", "dialog", "div", "dl", "dt", "footer", "form", "h1",
    "h2", "h3", "header", "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "select", "small",
    "summary", "svg", "table", "td", "textarea", "th", "title", "tr", "ul",
})  # fmt: skip
_EMPTY = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "path", "rect", "use"})


class Page(HTMLParser):
    """A page as text, and as the elements that it holds."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []  #: in the order they begin
        self._texts: list[tuple[tuple[int, ...], str]] = []  #: what is said, and within which elements
        self._open: list[tuple[str, int]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _EMPTY:
            self._open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._texts.append((tuple(number for _, number in self._open), data))

    @property
    def text(self) -> str:
        return " ".join("".join(text for _, text in self._texts).split())

    def all(self, tag: str, /, **attributes: str) -> list[str]:
        """The text of each *tag* that has these attributes (class_ for class: one of its classes)."""
        return [self._said_in(number) for number, element in enumerate(self.elements) if _is(element, tag, attributes)]

    def values(self, tag: str, attribute: str, /, **attributes: str) -> list[str]:
        """The *attribute* of each such *tag*."""
        return [element[1].get(attribute, "") for element in self.elements if _is(element, tag, attributes)]

    def texts_that_turn(self, signs: frozenset[str]) -> list[str]:
        """What holds one of *signs*, which turn the direction of a line, and shares its line with other words."""
        turning = ((within, text) for within, text in self._texts if signs & set(text))
        return [
            f"<{self.elements[within[-1]][0]}> {text}"
            for within, text in turning
            if not self._stands_apart(within, text)
        ]

    def _stands_apart(self, within: tuple[int, ...], text: str) -> bool:
        for number in reversed(within):
            tag, attributes = self.elements[number]
            if tag == "bdi" or "dir" in attributes:
                return True
            if tag in _BLOCKS:
                return self._said_in(number) == " ".join(text.split())
        return False

    def _said_in(self, number: int) -> str:
        return " ".join("".join(text for within, text in self._texts if number in within).split())


def _is(element: tuple[str, dict[str, str]], tag: str, wanted: dict[str, str]) -> bool:
    its_tag, its = element
    return its_tag == tag and all(
        value in its.get("class", "").split() if name == "class_" else its.get(name.replace("_", "-")) == value
        for name, value in wanted.items()
    )
