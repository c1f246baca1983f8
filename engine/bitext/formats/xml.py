"""Stream the elements of an XML file from an untrusted source."""

from __future__ import annotations

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


def parse(stream: BinaryIO, path: Path, kind: str) -> Iterator[tuple[str, Element]]:
    """Yield the events ``start`` and ``end`` of every element of a file whose root element is `kind`.

    A document type declaration without entities is ignored.

    Raises
    ------
    InputError
        If the file has another root element, declares entities, is not well-formed XML, or has an encoding
        that cannot be read.
    """
    checked = False
    with _readable_errors(path):
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=False):
            if not checked:
                checked = True
                name = local(element)
                if name != kind:
                    reason = f"not {kind.upper()}: its outermost element is <{name}>"
                    raise InputError(reason, path=path)
            yield event, element


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
