"""Stream the elements of an XML file from an untrusted source."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from engine.errors import InputError

#: The attribute ``xml:lang``.
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
#: The only control character besides white space that XML allows; `engine.bitext.open_bitext` removes it.
CONTROL = "\x7f"
#: Control characters, and references to characters by their numbers.
_INVALID = re.compile(
    r"[\x01-\x08\x0b\x0c\x0e-\x1f]|&#(?:x(?P<hexadecimal>[0-9a-fA-F]{1,8})|(?P<decimal>[0-9]{1,10}));"
)
#: Largest length of such a reference.
_REFERENCE = 13


def parse(stream: BinaryIO, path: Path, kind: str) -> Iterator[tuple[str, Element]]:
    """Yield the events ``start`` and ``end`` of every element of a file whose root element is `kind`.

    A document type declaration without entities is ignored. Control characters, which XML does not allow, are
    replaced by `CONTROL` instead of refusing the file.

    Raises
    ------
    InputError
        If the file has another root element, declares entities, is not well-formed XML, or has an encoding
        that cannot be read.
    """
    checked = False
    with _readable_errors(path):
        for event, element in iterparse(_Controlled(stream), events=("start", "end"), forbid_dtd=False):
            if not checked:
                checked = True
                name = local(element)
                if name != kind:
                    reason = f"not {kind.upper()}: its outermost element is <{name}>"
                    raise InputError(reason, path=path)
            yield event, element


class _Controlled:
    """A stream of XML in which control characters and references to them are replaced by `CONTROL`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._encoding = ""
        self._rest = ""

    def read(self, size: int = -1) -> bytes:
        while True:
            data = self._stream.read(size)
            if not self._encoding:
                # Other encodings of XML files are supersets of ASCII, which survive as Latin-1.
                marks = {b"\xff\xfe": "utf-16-le", b"<\0": "utf-16-le"}
                marks |= {b"\xfe\xff": "utf-16-be", b"\0<": "utf-16-be"}
                self._encoding = marks.get(data[:2], "latin-1")
                self._decoder = codecs.getincrementaldecoder(self._encoding)("surrogatepass")
            text = self._rest + self._decoder.decode(data, final=not data)
            # A reference may continue in the next part.
            cut = len(text) if not data else text.rfind("&", max(0, len(text) - _REFERENCE))
            cut = len(text) if cut < 0 or ";" in text[cut:] else cut
            text, self._rest = text[:cut], text[cut:]
            if text or not data:
                return _INVALID.sub(_replaced, text).encode(self._encoding, "surrogatepass")


def _replaced(match: re.Match[str]) -> str:
    hexadecimal, decimal = match["hexadecimal"], match["decimal"]
    if hexadecimal is None and decimal is None:
        return CONTROL
    code = int(hexadecimal, 16) if hexadecimal is not None else int(decimal)
    valid = code in (9, 10, 13) or 32 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0xFFFF < code < 0x110000
    return match[0] if valid else f"&#{ord(CONTROL)};"


def local(element: Element) -> str:
    """Return the name of an element without its namespace, in lower case."""
    return element.tag.rpartition("}")[2].lower()


@contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DefusedXmlException as error:
        raise InputError(
            "the file declares entities, which are refused as unsafe; export it again without them", path=path
        ) from error
    except ParseError as error:
        reason = str(error).partition(":")[0]
        raise InputError(
            f"not well-formed XML ({reason}); export or fetch it again", path=path, line=error.position[0]
        ) from error
    except (LookupError, ValueError) as error:
        raise InputError(f"its encoding cannot be read ({error}); convert it to UTF-8", path=path) from error


@contextmanager
def deep_refused(path: Path) -> Iterator[None]:
    """Raise an InputError in place of the RecursionError of elements that are nested too deeply."""
    try:
        yield
    except RecursionError as error:
        raise InputError("its elements are nested too deeply; export it again", path=path) from error
