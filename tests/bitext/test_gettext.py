"""Gettext: which messages are pairs, what is removed from them, and which locale is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import polib
import pytest

from engine.bitext import Drops, SentencePair, open_bitext
from engine.bitext.formats.gettext import package_folder, read_gettext
from engine.bitext.formats.messages import plain
from engine.datahome.formats.recognise import recognise
from engine.errors import InputError

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n{more}\n'


def catalogue(path: Path, body: str, more: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER.format(more=more) + body, encoding="utf-8")
    return path


def texts(pairs: list[SentencePair]) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in pairs]


def test_untranslated_fuzzy_and_obsolete_messages_are_skipped(tmp_path: Path) -> None:
    path = catalogue(
        tmp_path / "so.po",
        'msgid "one"\nmsgstr "kow"\n\n'
        'msgid "two"\nmsgstr ""\n\n'
        '#, fuzzy\nmsgid "three"\nmsgstr "saddex"\n\n'
        '#~ msgid "four"\n#~ msgstr "afar"\n\n'
        'msgctxt "month name"\nmsgid "May"\nmsgstr "Maajo"\n\n'
        'msgctxt "modal"\nmsgid "May"\nmsgstr "Waa laga yaabaa"\n',
    )
    pairs = list(open_bitext(path, language="so"))
    assert texts(pairs) == [("kow", "one"), ("Maajo", "May"), ("Waa laga yaabaa", "May")]
    assert [pair.id.partition(":")[2] for pair in pairs] == ["", "month_name", "modal"]
    assert len({pair.id.partition(":")[0] for pair in pairs}) == 3


@pytest.mark.parametrize(
    ("rule", "forms", "expected"),
    [
        ("nplurals=2; plural=(n != 1);", ["fayl", "faylal"], "fayl"),
        ("nplurals=1; plural=0;", ["fayl"], "fayl"),
        # The forms of Arabic are zero, one, two, few, many, other.
        ("nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : 3;", ["lama", "hal", "laba", "dhowr"], "hal"),
        ("nplurals=2; plural=(n /;", ["fayl", "faylal"], "fayl"),
        ("nplurals=2; plural=n%0;", ["fayl", "faylal"], "fayl"),
        ("", ["fayl", "faylal"], "fayl"),
    ],
)
@pytest.mark.parametrize("suffix", [".po", ".mo"])
def test_plural_messages_use_the_form_for_one(
    tmp_path: Path, rule: str, forms: list[str], expected: str, suffix: str
) -> None:
    file = polib.POFile()
    file.metadata = {"Content-Type": "text/plain; charset=utf-8", "Plural-Forms": rule}
    plural = dict(enumerate(forms))
    file.append(polib.POEntry(msgid="file", msgid_plural="files", msgstr_plural=plural))
    path = tmp_path / f"so{suffix}"
    (file.save if suffix == ".po" else file.save_as_mofile)(str(path))
    assert texts(list(open_bitext(path, language="so"))) == [(expected, "file")]


def test_a_partly_translated_plural_is_skipped(tmp_path: Path) -> None:
    body = 'msgid "file"\nmsgid_plural "files"\nmsgstr[0] "fayl"\nmsgstr[1] ""\n\nmsgid "one"\nmsgstr "kow"\n'
    assert len(list(open_bitext(catalogue(tmp_path / "so.po", body), language="so"))) == 1


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("The user %(name)s was added.", "The user  was added."),
        ("%d of %5.2f and %1$s, %%", " of  and , %"),
        ("100%% sure, 50% done", "100% sure, 50% done"),
        ("%s的文件", "的文件"),
        ("Hello {name}, {0!r:>10} {{ user.name }} ${HOME} {}", "Hello ,    "),
        ("sets like {a, b}", "sets like {a, b}"),
        ("Copying %1 of %L2", "Copying  of "),
        ('<strong>Read</strong><br/>the <a href="%(url)s">page</a>', "Read the page"),
        ("fish &amp; chips &lt;3", "fish & chips <3"),
        ("a < b and c > d", "a < b and c > d"),
        ("&File", "File"),
        ("E&xit", "Exit"),
        ("R&D", "R&D"),
        ("Tom & Ann", "Tom & Ann"),
        ("文件(&F)", "文件"),
        ("_Open", "Open"),
        ("snake_case __init__", "snake_case __init__"),
        ("%(a)s: %(b)s", ""),
    ],
)
def test_messages_are_reduced_to_their_text(message: str, sentence: str) -> None:
    assert plain(message) == sentence


def tree(root: Path, *locales: str, domain: str = "app") -> None:
    for locale in locales:
        body = f'msgid "where"\nmsgstr "{locale}"\n'
        catalogue(root / "locale" / locale / "LC_MESSAGES" / f"{domain}.po", body)


@pytest.mark.parametrize(
    ("language", "locale"),
    [
        ("es", "es"), ("es_MX", "es_MX"), ("es-mx", "es_MX"), ("es-LA", "es"),
        ("zh-CN", "zh_Hans"), ("zh-Hant", "zh_Hant"), ("sr", "sr"), ("sr@latin", "sr_Latn"), ("no", "nb"),
    ],
)  # fmt: skip
def test_one_locale_of_a_language_is_read(tmp_path: Path, language: str, locale: str) -> None:
    tree(tmp_path, "es_AR", "es", "es_MX", "zh_Hant", "zh_Hans", "sr", "sr_Latn", "nb", "nn", "xx_mystery")
    assert [pair.source for pair in open_bitext(tmp_path, language=language)] == [locale]


def test_catalogues_are_read_in_the_order_of_paths_and_ids_lack_the_locale(tmp_path: Path) -> None:
    tree(tmp_path / "b", "so")
    tree(tmp_path / "a", "so", "sw", domain="z")
    tree(tmp_path / "a", "so_SO", domain="y")
    catalogue(tmp_path / "po" / "so.po", 'msgid "x"\nmsgstr "y"\n')
    names = [pair.id.partition("#")[0] for pair in read_gettext(tmp_path, "so", "en")]
    assert names == ["a/z", "a/y", "b/app", "po"]
    assert [pair.id for pair in read_gettext(tmp_path, "sw", "en")] == [
        pair.id for pair in read_gettext(tmp_path, "so", "en") if pair.id.startswith("a/z")
    ]


def test_a_compiled_catalogue_next_to_its_source_is_skipped(tmp_path: Path) -> None:
    path = catalogue(tmp_path / "so.po", 'msgid "one"\nmsgstr "kow"\n')
    polib.pofile(str(path)).save_as_mofile(str(path.with_suffix(".mo")))
    assert len(list(read_gettext(tmp_path, "so", "en"))) == 1
    path.unlink()
    assert texts(list(open_bitext(tmp_path, language="so"))) == [("kow", "one")]


def test_an_installed_package_is_read_without_importing_it() -> None:
    code = (
        "import sys; from engine.bitext import open_bitext; "
        "pairs = [*open_bitext('package:Django', language='sw')]; "
        "pairs += open_bitext('package:pycountry', language='so'); "
        "print(len(pairs), 'django' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, *imported = done.stdout.split()
    assert int(count) > 600 and imported == ["False"]


def test_a_distribution_is_found_by_either_name() -> None:
    assert package_folder("import-linter") == package_folder("importlinter")


@pytest.mark.parametrize("name", ["no-such-package", "no_such_package", "xml.dom", "../etc", ""])
def test_a_missing_package_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"no such package is installed; install it with pip"):
        open_bitext(f"package:{name}", language="so")


def test_bad_catalogues_are_refused(tmp_path: Path) -> None:
    def refuse(
        sentence: str, path: Path = tmp_path / "so.po", language: str = "so", target: str = "en"
    ) -> None:
        with pytest.raises(InputError, match=sentence):
            list(open_bitext(path, language=language, target_language=target))

    catalogue(tmp_path / "so.po", 'msgid "one"\nmsgstr "kow"\n\nthis is no catalogue\n')
    refuse(r"so\.po, line 8: not a well-formed gettext catalogue")
    tmp_path.joinpath("so.po").write_bytes(
        HEADER.format(more="").encode() + b'msgid "one"\nmsgstr "k\xe9w"\n'
    )
    refuse(r"so\.po: byte \d+ is not in the charset 'utf-8' that the header names")
    catalogue(tmp_path / "so.po", 'msgid "one"\nmsgstr "un"\n', more='"Language: fr_CA\\n"')
    refuse(r"so\.po: the catalogue says that it is in 'fr_CA', not in 'so'")
    refuse("gettext messages are in English, not in 'fr'", target="fr")
    tmp_path.joinpath("so.mo").write_bytes(b"\xde\x12\x04\x95\x00")
    refuse(r"so\.mo: not a well-formed gettext catalogue", path=tmp_path / "so.mo")
    refuse(r"there is no gettext catalogue of 'sw' in it", path=tmp_path, language="sw")
    catalogue(tmp_path / "so.po", 'msgid "one"\nmsgstr ""\n')
    refuse(r"so\.po: there are no pairs")


def test_several_locales_are_a_question_if_none_is_the_requested_one(tmp_path: Path) -> None:
    tree(tmp_path, "zh_CN", "zh_TW", "sr_Latn", "sr@cyrillic", "pt_BR", "so")
    for language, listed in (("zh", "zh_CN, zh_TW"), ("sr", "sr@cyrillic, sr_Latn")):
        with pytest.raises(InputError, match=rf"{listed} all match the language '{language}'; give one"):
            list(open_bitext(tmp_path, language=language))
    for language, locale in (("pt", "pt_BR"), ("zh-Hant", "zh_TW"), ("sr-Cyrl", "sr@cyrillic")):
        assert [pair.source for pair in open_bitext(tmp_path, language=language)] == [locale]
    assert set(recognise(tmp_path).languages) == {"pt", "so", "sr-Cyrl", "sr-Latn", "zh-CN", "zh-TW"}
    tree(tmp_path, "zh_TW", domain="other")
    tree(tmp_path / "x", "zh_CN", domain="third")
    assert [pair.source for pair in read_gettext(tmp_path, "zh_TW", "en")] == ["zh_TW", "zh_TW"]


def test_a_leftover_language_of_the_messages_is_ignored(tmp_path: Path) -> None:
    header = '"Language: en\\n"'
    path = catalogue(tmp_path / "so.po", 'msgid "one"\nmsgstr "kow"\n', header)
    assert texts(list(open_bitext(path, language="so"))) == [("kow", "one")]
    catalogue(path, 'msgid "one"\nmsgstr "one"\n', header)
    with pytest.raises(InputError, match="says that it is in 'en', not in 'so'"):
        list(open_bitext(path, language="so"))


def test_the_language_of_the_messages_may_be_in_the_header(tmp_path: Path) -> None:
    header = '"Language: so\\n"\n"X-Source-Language: fr\\n"'
    path = catalogue(tmp_path / "po" / "so.po", 'msgid "un"\nmsgstr "kow"\n', header)
    for place in (path, path.parent):
        (pair,) = open_bitext(place, language="so", target_language="fr")
        assert (pair.source, pair.target, pair.target_language) == ("kow", "un", "fr")
        (pair,) = open_bitext(place, language="fr", target_language="so")
        assert (pair.source, pair.target) == ("un", "kow")
    with pytest.raises(InputError, match="gettext messages are in French, not in 'en'"):
        list(open_bitext(path, language="so"))
    catalogue(path, 'msgid "one"\nmsgstr "kow"\n', '"X-Source-Language: C\\n"')
    assert texts(list(open_bitext(path, language="so"))) == [("kow", "one")]
    assert texts(list(open_bitext(path, language="en", target_language="so"))) == [("one", "kow")]


KEYS = (
    'msgid "gate.close"\nmsgstr "{}"\n\nmsgid "clinic_where"\nmsgstr "{}"\n\nmsgid "menu.quit"\nmsgstr "{}"\n'
)


@pytest.mark.parametrize("name", ["po/{}.po", "locale/{}/LC_MESSAGES/app.po"])
def test_texts_of_keys_are_in_the_catalogue_of_the_messages_language(tmp_path: Path, name: str) -> None:
    header = '"X-Source-Language: en\\n"'
    path = catalogue(tmp_path / name.format("sw"), KEYS.format("Funga", "Wapi?", "Toka"), header)
    with pytest.raises(
        InputError, match=r"its messages are keys, such as 'gate\.close', .* put the catalogue"
    ):
        list(open_bitext(path, language="sw"))
    catalogue(tmp_path / name.format("en"), KEYS.format("Close", "Where?", ""), header)
    for place in (path, tmp_path):
        drops = Drops()
        assert texts(list(open_bitext(place, language="sw", drops=drops))) == [
            ("Funga", "Close"),
            ("Wapi?", "Where?"),
        ]
        assert drops == Drops(read=3, kept=2, empty=1)


def test_texts_of_keys_in_comments(tmp_path: Path) -> None:
    body = '#. Default: "Close the gate"\nmsgid "gate_close"\nmsgstr "Funga lango"\n'
    assert texts(list(open_bitext(catalogue(tmp_path / "sw.po", body), language="sw"))) == [
        ("Funga lango", "Close the gate")
    ]
