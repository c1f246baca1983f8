"""Languages: codes, names, scripts, families, resource classes, and the matching of language tags.

`language` finds a language from any spelling of its code or English name; every language of ISO 639-3 is
known. `Tag` adds the script, region and variant of a tag. `choose_tag` selects the tag that was requested.

What libraries know comes from them: codes and names from pycountry (ISO 639-3), usual scripts,
macrolanguages, withdrawn codes and the distance of tags from langcodes (Unicode CLDR). They are imported when
they are first needed, because that takes 60 ms. The table in this module has what they do not know:

- Families: the top family of Glottolog and a customary branch of it.
- Resource classes: the taxonomy published with Joshi et al. 2020, "The state and fate of linguistic
  diversity and inclusion in the NLP world" (arXiv 2004.09095), from 0, "the left-behinds", to 5, "the
  winners". It lists names instead of codes; if a language is missing or is listed twice with different
  classes, its class here is unknown.
- XLM-R: the list of Conneau et al. 2020 (arXiv 1911.02116). Its 100 entries are 93 languages if romanised,
  Zawgyi and traditional Chinese variants are not counted separately.
- Codes in the file names of the Tatoeba test set of LASER.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from engine.errors import InputError, nearest


@dataclass(frozen=True)
class Language:
    """One language.

    Attributes
    ----------
    code : str
        Its ISO 639-1 code, or its ISO 639-3 code if it has no shorter one. Exceptions: ``ber`` (ISO 639-5),
        because Tatoeba does not say which Berber language it has, and ``kzj``, which ISO withdrew in 2016.
    family : str
        Top family, then branch; empty if unknown.
    resource_class : int, optional
        Class 0 to 5 of Joshi et al. 2020; None if unknown.
    xlmr : bool
        Whether XLM-R was pre-trained on it.
    tatoeba : str, optional
        Its code in the file names of the Tatoeba test set of LASER.
    """

    code: str
    family: str = ""
    resource_class: int | None = None
    xlmr: bool = False
    tatoeba: str | None = None

    @cached_property
    def code3(self) -> str:
        """Its ISO 639-3 code."""
        entry = _iso(self.code)
        return self.code if entry is None else entry[0]

    @cached_property
    def name(self) -> str:
        """Its English name; the code if no name is known."""
        if self.code in _NAMES:
            return _NAMES[self.code]
        entry = _iso(self.code)
        return self.code if entry is None else _without_remarks(entry[1])

    @cached_property
    def script(self) -> str:
        """ISO 15924 code of the script it is mostly written in; empty if unknown."""
        if self.code in _SCRIPTS:
            return _SCRIPTS[self.code]
        from langcodes import Language as LanguageTag
        from langcodes.data_dicts import LIKELY_SUBTAGS

        tag = LanguageTag.get(self.code)
        if tag.script:
            return tag.script
        codes = (self.code, tag.language, tag.prefer_macrolanguage().language)
        likely = next((LIKELY_SUBTAGS[code] for code in codes if code in LIKELY_SUBTAGS), "")
        return str(likely).split("-")[1] if likely else ""

    @property
    def resource(self) -> Literal["high", "medium", "low"] | None:
        """``high`` for classes 4 and 5, ``medium`` for 3, ``low`` for 0 to 2; None if unknown."""
        if self.resource_class is None:
            return None
        return "high" if self.resource_class >= 4 else "medium" if self.resource_class == 3 else "low"


# code | class (- unknown) | x: in XLM-R | Tatoeba's code | family | codes that langcodes does not resolve
_TABLE = """
af|3|x|afr|Indo-European, Germanic|
am|2|x|amh|Afro-Asiatic, Semitic|
ang|1||ang|Indo-European, Germanic|
ar|5|x|ara|Afro-Asiatic, Semitic|
arq|-||arq|Afro-Asiatic, Semitic|
ary|-|||Afro-Asiatic, Semitic|
arz|3||arz|Afro-Asiatic, Semitic|
as|1|x||Indo-European, Indo-Aryan|
ast|1||ast|Indo-European, Romance|
awa|0||awa|Indo-European, Indo-Aryan|
ay|1|||Aymaran|
az|1|x|aze|Turkic|
ba|1|||Turkic|
be|3|x|bel|Indo-European, Slavic|
ber|-||ber|Afro-Asiatic, Berber|
bg|3|x|bul|Indo-European, Slavic|
bho|1|||Indo-European, Indo-Aryan|
bm|1|||Mande|
bn|3|x|ben|Indo-European, Indo-Aryan|
bo|1|||Sino-Tibetan, Bodic|
br|1|x|bre|Indo-European, Celtic|
bs|3|x|bos|Indo-European, Slavic|
ca|4|x|cat|Indo-European, Romance|
cbk|1||cbk|Indo-European, Romance|
ceb|3||ceb|Austronesian, Philippine|
ch|1||cha|Austronesian, Malayo-Polynesian|
ckb|1|||Indo-European, Iranian|
cs|4|x|ces|Indo-European, Slavic|
csb|1||csb|Indo-European, Slavic|
cy|1|x|cym|Indo-European, Celtic|
da|3|x|dan|Indo-European, Germanic|
de|5|x|deu|Indo-European, Germanic|
din|1|||Nilotic|
dsb|1||dsb|Indo-European, Slavic|
dtp|0||dtp|Austronesian, North Borneo|
dz|1|||Sino-Tibetan, Bodic|
ee|1|||Atlantic-Congo, Kwa|
el|3|x|ell|Indo-European, Greek|
en|5|x||Indo-European, Germanic|
eo|1|x|epo|Constructed|
es|5|x|spa|Indo-European, Romance|
et|3|x|est|Uralic, Finnic|
eu|4|x|eus|Basque|
fa|4|x|pes|Indo-European, Iranian|
fi|4|x|fin|Uralic, Finnic|
fo|1||fao|Indo-European, Germanic|
fr|5|x|fra|Indo-European, Romance|
fuv|-|||Atlantic-Congo, North-Central Atlantic|
fy|1|x|fry|Indo-European, Germanic|
ga|2|x|gle|Indo-European, Celtic|
gd|1|x|gla|Indo-European, Celtic|
gl|3|x|glg|Indo-European, Romance|
gn|1|||Tupian|
gsw|-||gsw|Indo-European, Germanic|
gu|1|x||Indo-European, Indo-Aryan|
ha|2|x||Afro-Asiatic, Chadic|
he|3|x|heb|Afro-Asiatic, Semitic|
hi|4|x|hin|Indo-European, Indo-Aryan|
hr|4|x|hrv|Indo-European, Slavic|
hsb|1||hsb|Indo-European, Slavic|
ht|2|||Indo-European, Romance|
hu|4|x|hun|Uralic, Hungarian|
hy|1|x|hye|Indo-European, Armenian|
ia|1||ina|Constructed|
id|3|x|ind|Austronesian, Malayic|
ie|1||ile|Constructed|
ig|1|||Atlantic-Congo, Igboid|
ilo|1|||Austronesian, Philippine|
io|1||ido|Constructed|
is|2|x|isl|Indo-European, Germanic|
it|4|x|ita|Indo-European, Romance|
ja|5|x|jpn|Japonic|
jv|1|x|jav|Austronesian, Javanese|
ka|3|x|kat|Kartvelian|
kab|1||kab|Afro-Asiatic, Berber|
kk|3|x|kaz|Turkic|
km|1|x|khm|Austroasiatic, Khmeric|
kn|1|x||Dravidian|
ko|4|x|kor|Koreanic|
kr|0|||Saharan|
ku|1|x|kur|Indo-European, Iranian|
kw|1||cor|Indo-European, Celtic|
ky|1|x||Turkic|
kzj|-||kzj|Austronesian, North Borneo|
la|3|x|lat|Indo-European, Italic|
lb|1|||Indo-European, Germanic|
lfn|1||lfn|Constructed|
lg|1|||Atlantic-Congo, Bantu|
ln|1|||Atlantic-Congo, Bantu|
lo|2|x||Tai-Kadai|
lt|3|x|lit|Indo-European, Baltic|
lv|3|x|lvs|Indo-European, Baltic|
mai|1|||Indo-European, Indo-Aryan|
max|-||max|Austronesian, Malayic|
mg|1|x||Austronesian, Barito|
mhr|1||mhr|Uralic, Mari|
mi|1|||Austronesian, Oceanic|
mk|1|x|mkd|Indo-European, Slavic|
ml|1|x|mal|Dravidian|
mn|1|x|mon|Mongolic|
mr|2|x|mar|Indo-European, Indo-Aryan|
ms|3|x|zsm|Austronesian, Malayic|zlm
mt|2|||Afro-Asiatic, Semitic|
my|1|x||Sino-Tibetan, Burmish|
nb|1|x|nob|Indo-European, Germanic|no nor
nds|1||nds|Indo-European, Germanic|
ne|1|x||Indo-European, Indo-Aryan|
nl|4|x|nld|Indo-European, Germanic|
nn|1||nno|Indo-European, Germanic|
nov|1||nov|Constructed|
nso|1|||Atlantic-Congo, Bantu|
nus|0|||Nilotic|
ny|1|||Atlantic-Congo, Bantu|
oc|1||oci|Indo-European, Romance|
om|1|x||Afro-Asiatic, Cushitic|
or|1|x||Indo-European, Indo-Aryan|
orv|-||orv|Indo-European, Slavic|
os|1|||Indo-European, Iranian|
pa|2|x||Indo-European, Indo-Aryan|
pam|1||pam|Austronesian, Philippine|
pl|4|x|pol|Indo-European, Slavic|
pms|1||pms|Indo-European, Romance|
prs|0|||Indo-European, Iranian|
ps|1|x||Indo-European, Iranian|pbt pst
pt|4|x|por|Indo-European, Romance|
qu|1|||Quechuan|
ro|3|x|ron|Indo-European, Romance|
ru|4|x|rus|Indo-European, Slavic|
rw|1|||Atlantic-Congo, Bantu|
sa|2|x||Indo-European, Indo-Aryan|
sc|1|||Indo-European, Romance|
sd|1|x||Indo-European, Indo-Aryan|
si|1|x||Indo-European, Indo-Aryan|
sk|3|x|slk|Indo-European, Slavic|
sl|3|x|slv|Indo-European, Slavic|
sn|1|||Atlantic-Congo, Bantu|
so|1|x||Afro-Asiatic, Cushitic|
sq|1|x|sqi|Indo-European, Albanian|
sr|4|x|srp|Indo-European, Slavic|
ss|1|||Atlantic-Congo, Bantu|
st|1|||Atlantic-Congo, Bantu|
su|1|x||Austronesian, Sundanese|
sv|4|x|swe|Indo-European, Germanic|
sw|2|x|swh|Atlantic-Congo, Bantu|
swc|-|||Atlantic-Congo, Bantu|
swg|-||swg|Indo-European, Germanic|
ta|3|x|tam|Dravidian|
te|1|x|tel|Dravidian|
tg|1|||Indo-European, Iranian|
th|3|x|tha|Tai-Kadai|
ti|2|||Afro-Asiatic, Semitic|
tk|1||tuk|Turkic|
tl|3|x|tgl|Austronesian, Philippine|tgl fil
tn|2|||Atlantic-Congo, Bantu|
tr|4|x|tur|Turkic|
ts|1|||Atlantic-Congo, Bantu|
tt|1||tat|Turkic|
tw|1|||Atlantic-Congo, Kwa|
tzl|-||tzl|Constructed|
udm|1|||Uralic, Permic|
ug|1|x|uig|Turkic|
uk|3|x|ukr|Indo-European, Slavic|
ur|3|x|urd|Indo-European, Indo-Aryan|
uz|3|x|uzb|Turkic|
ve|1|||Atlantic-Congo, Bantu|
vi|4|x|vie|Austroasiatic, Vietic|
war|-||war|Austronesian, Philippine|
wo|2|||Atlantic-Congo, North-Central Atlantic|
wuu|1||wuu|Sino-Tibetan, Sinitic|
xh|2|x|xho|Atlantic-Congo, Bantu|
yi|1|x|yid|Indo-European, Germanic|
yo|2|||Atlantic-Congo, Yoruboid|
yue|1||yue|Sino-Tibetan, Sinitic|
zh|5|x|cmn|Sino-Tibetan, Sinitic|
zu|2|||Atlantic-Congo, Bantu|
"""

#: English names that differ from ISO 639-3's: those of Unicode CLDR or of the benchmarks.
_NAMES = {
    "ber": "Berber languages",
    "el": "Greek",
    "ht": "Haitian Creole",
    "ky": "Kyrgyz",
    "kzj": "Coastal Kadazan",
    "nso": "Northern Sotho",
    "ny": "Nyanja",
    "or": "Odia",
    "pa": "Punjabi",
    "pam": "Kapampangan",
    "pms": "Piedmontese",
    "ps": "Pashto",
    "ug": "Uyghur",
    "yue": "Cantonese",
}
#: Scripts that Unicode CLDR does not have.
_SCRIPTS = {"mhr": "Cyrl", "orv": "Cyrl", "prs": "Arab"} | dict.fromkeys(
    ("ang", "ber", "cbk", "din", "ie", "kzj", "lfn", "max", "nov", "tw", "tzl"), "Latn"
)
#: Codes of ISO 639 that, without a script or region, are more often words or endings in the names of files
#: and columns. `language` knows them, `looks_like_language` does not.
_WORDS = frozenset(
    """
    aac abs aif all an and ann any are ask ass aux avi bin bio bit bmp bot bug but cab cap cdf cls col con
    csh css csv cut del den dev dir doc dot due end env err etc etx for gap gov had has her hid how hub its
    job key kid ksh lab len lex lib loc log lot low lst lua mag man mem mht mid mif min mix mjs mod mov mpa
    mpe mpg msg mtx na nan new nid non not now npy num oda odt old one opt org pad par pas pbm pi pic pid
    pip png pnm pos pot ppm pps ppt pre pro psd ptr pub ram rar ras raw reg rel res row run saw sci se sec
    see seg sen sep seq set sgm sh sha she sid sim src srt std str sty sub swf syn tab tag tar tbl tcl tei
    tex tgt the tif to tok top toy try tsv two txt uri url val var vec ver vid was wav way win xbm xlb xls
    xml xpm xsl xul xwd yes
    """.split()  # noqa: SIM905
)
#: Codes of two letters that are often the names of columns: identifier, number, time stamp, line and others.
_SHORT_WORDS = frozenset("am an as at by id in io is ln ms na no nr or os se sg ss ts to".split())  # noqa: SIM905
#: Codes of ISO 639 that name no language: several, none, undetermined, not listed.
_NO_LANGUAGE = re.compile("mis|mul|und|zxx|q[a-t][a-z]")


def _row(line: str) -> tuple[Language, list[str]]:
    code, level, xlmr, tatoeba, family, others = line.split("|")
    resource_class = None if level == "-" else int(level)
    return Language(code, family, resource_class, bool(xlmr), tatoeba or None), others.split()


_ROWS = [_row(line) for line in _TABLE.split("\n") if line]

LANGUAGES: tuple[Language, ...] = tuple(entry for entry, _ in _ROWS)
"""The languages of the table, sorted by code: those of the benchmarks and of common encoders."""

_BY_CODE = {spelling: entry for entry, others in _ROWS for spelling in (entry.code, *others)}


def table_version() -> str:
    """Return a text that changes when the table or a library that completes it changes."""
    from importlib.metadata import version

    return f"{_TABLE}{_NAMES}{_SCRIPTS} {version('pycountry')} {version('langcodes')}"


@lru_cache(maxsize=4096)
def language(code: str) -> Language:
    """Return the language that `code` names.

    Parameters
    ----------
    code : str
        An ISO 639-1, 639-2 or 639-3 code, an English name, or a tag with script, region or variant in the
        spelling of BCP 47, Django or gettext (``pt-BR``, ``zh_Hans``, ``sr@latin``). These parts do not
        change the language: ``es-LA`` is Spanish. The code of the individual language in which nearly all
        texts of a macrolanguage are written names the macrolanguage (``arb`` is ``ar``), if that is in
        `LANGUAGES`.

    Raises
    ------
    InputError
        If no language has that code or name; the message suggests the nearest spelling.
    """
    spelling = code.strip().casefold()
    found = _by_code(spelling) or _by_name(spelling)
    if found is None:
        first, *rest = _subtags(spelling)
        found = _by_code(first) if first != spelling and all(map(_is_subtag, rest)) else None
    if found is None:
        raise InputError(f"unknown language code {code!r}{nearest(spelling, _spellings())}")
    return found


@lru_cache(maxsize=4096)
def lookup(tag: str) -> Language | None:
    """Return the language that `tag` names, as `language` does, or None if it names none."""
    try:
        return language(tag)
    except InputError:
        return None


def language_name(code: str) -> str:
    """Return the English name of a language, or `code` itself if the language is unknown."""
    found = lookup(code)
    return code if found is None else found.name


def known_code(tag: str) -> str:
    """Return the code of the language that `tag` names, or `tag` itself if it names none.

    CLIRMatrix, for example, has the tag ``simple`` for simple English.
    """
    found = lookup(tag)
    return tag if found is None else found.code


def same_language(a: str, b: str) -> bool:
    """Return whether two codes name the same language, whatever their standard, script and region.

    Raises
    ------
    InputError
        If either code is unknown.
    """
    return language(a) == language(b)


def names_language(tag: str, code: str) -> bool:
    """Return whether `tag`, which may be any word, names the language of `code`."""
    return lookup(tag) == language(code)


def names_other_language(tag: str, code: str) -> bool:
    """Return whether `tag` names a language, and not the language of `code`."""
    return lookup(tag) not in (None, language(code))


def looks_like_language(word: str) -> bool:
    """Return whether a word in the name of a file, folder or column probably names a language.

    Names of languages outside `LANGUAGES`, and codes that are common words (``all``, ``txt``), do not count.
    """
    spelling = word.strip().casefold()
    found = None if spelling in _WORDS or not has_registered_subtags(word) else lookup(word)
    return found is not None and (found in LANGUAGES or len(_subtags(spelling)[0]) <= 3)


def is_common_word(code: str) -> bool:
    """Return whether a language code is more often the name of a column of another kind (``id``, ``no``)."""
    spelling = code.strip().casefold()
    return spelling in _WORDS or spelling in _SHORT_WORDS


@lru_cache(maxsize=4096)
def has_registered_subtags(word: str) -> bool:
    """Return whether script, region and variant of a tag exist; in ``en_text`` and ``en_score`` they do not.

    True for words without such parts, and for the modifiers of locales (``ca@valencia``).
    """
    parts = _subtags(word.strip().casefold())[1:]
    if not parts:
        return True
    from langcodes import Language as LanguageTag

    try:
        return bool(LanguageTag.get("-".join(["und", *parts])).is_valid())
    except ValueError:
        return False


def _subtags(spelling: str) -> list[str]:
    """Return the subtags of a tag in any spelling, without character encoding and modifier."""
    return spelling.split("@")[0].split(".")[0].replace("_", "-").split("-")


def _is_subtag(part: str) -> bool:
    """Return whether `part` can be a script, region or variant; three letters are another language."""
    return part.isascii() and part.isalnum() and len(part) <= 8 and not (len(part) == 3 and part.isalpha())


# -- codes and names of the libraries ----------------------------------------------------------------


@lru_cache(maxsize=4096)
def _by_code(code: str) -> Language | None:
    """Return the language with a code, of the table if possible."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    if not (code.isascii() and code.isalpha() and 2 <= len(code) <= 3) or _NO_LANGUAGE.fullmatch(code):
        return None
    from langcodes import Language as LanguageTag

    tag = LanguageTag.get(code)
    # langcodes replaces some languages by tags, such as Serbo-Croatian (hbs) by sr-Latn.
    replaced = tag.script is not None or tag.territory is not None
    current = code if replaced or tag.language is None else tag.language
    for candidate in () if replaced else (current, tag.prefer_macrolanguage().language):
        if candidate in _BY_CODE:
            return _BY_CODE[candidate]
    entry = _iso(code) or _iso(current)
    if _is_group(code):  # such as bnt, Bantu languages
        return None
    if entry is not None:
        return Language(entry[2])
    return Language(current) if tag.is_valid() else None  # a code that ISO withdrew (ajp)


def _iso(code: str) -> tuple[str, str, str] | None:
    """Return the ISO 639-3 code, the name and the shortest code of a language, by its ISO 639 code."""
    import pycountry

    found = pycountry.languages.get(**{"alpha_2" if len(code) == 2 else "alpha_3": code})
    if found is None:
        return None
    return found.alpha_3, found.name, getattr(found, "alpha_2", found.alpha_3)


def _is_group(code: str) -> bool:
    import pycountry

    return pycountry.language_families.get(alpha_3=code) is not None


def _by_name(spelling: str) -> Language | None:
    """Return the language with an English name, in lower case."""
    if len(spelling) <= 3:  # a code; names that are so short are codes too, often of another language
        return None
    codes = _table_names().get(spelling) or _iso_names().get(spelling, ())
    if len(codes) > 1:
        listed = ", ".join(sorted(codes))
        raise InputError(f"{spelling!r} is the name of several languages; give the code of one: {listed}")
    return _by_code(codes[0]) if codes else None


@lru_cache(maxsize=1)
def _table_names() -> Mapping[str, tuple[str, ...]]:
    return {entry.name.casefold(): (entry.code,) for entry in LANGUAGES}


@lru_cache(maxsize=1)
def _iso_names() -> Mapping[str, tuple[str, ...]]:
    """Return the codes of languages by name; of several with one name, the one that CLDR knows."""
    import pycountry
    from langcodes.data_dicts import LIKELY_SUBTAGS

    found: dict[str, dict[str, None]] = {}
    for entry in pycountry.languages:
        if not _NO_LANGUAGE.fullmatch(entry.alpha_3):
            code = getattr(entry, "alpha_2", entry.alpha_3)
            for name in (entry.name, _without_remarks(entry.name), getattr(entry, "common_name", entry.name)):
                found.setdefault(name.casefold(), {})[code] = None
    return {
        name: tuple(code for code in codes if code in LIKELY_SUBTAGS) or tuple(codes)
        for name, codes in found.items()
    }


def _without_remarks(name: str) -> str:
    return re.sub(r" \(.*?\)", "", name)


@lru_cache(maxsize=1)
def _spellings() -> list[str]:
    """Return the spellings of the languages in the table, for suggestions."""
    return list(dict.fromkeys([*_BY_CODE, *(entry.code3 for entry in LANGUAGES), *_table_names()]))


# -- tags --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tag:
    """A language tag: a language, and the script, region and variant if the tag names them.

    Attributes
    ----------
    language : Language
        The language.
    script : str
        ISO 15924 code (``Hans``), or empty.
    region : str
        ISO 3166 or UN M.49 code (``BR``, ``419``), or empty.
    variant : str
        Other subtags in lower case (``valencia``), or empty.
    """

    language: Language
    script: str = ""
    region: str = ""
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Tag:
        """Return the tag that `text` spells, in any spelling that `language` accepts.

        Raises
        ------
        InputError
            If it names no language.
        """
        found = language(text)
        spelling = text.strip().casefold()
        modifier = spelling.partition("@")[2]
        script = region = ""
        variants = []
        first, *rest = _subtags(spelling)
        if _by_code(first) is None or _by_name(spelling) is not None:
            return cls(found)
        for part in (*rest, _MODIFIERS.get(modifier, modifier)):
            if part == "euro":  # a currency, in old names of locales
                continue
            if len(part) == 4 and part.isalpha():
                script = part.title()
            elif re.fullmatch("[a-z]{2}|[0-9]{3}", part):
                region = part.upper()
            elif part:
                variants.append(part)
        return cls(found, script, region, "-".join(variants))

    def __str__(self) -> str:
        """Return the tag in the spelling of BCP 47."""
        return "-".join(filter(None, (self.language.code, self.script, self.region, self.variant)))

    def distance(self, other: Tag) -> int:
        """Return how far apart two tags are for a reader: 0 for the same, 1,000 for other languages.

        For tags of one language this is the distance of langcodes, which completes scripts and regions: 0
        between ``zh-CN`` and ``zh-Hans``, 4 or 5 between regions. It is at least 50 between scripts, also if
        readers know both (Serbian).
        """
        if self.language != other.language:
            return 1000
        if self == other:
            return 0
        from langcodes import Language as LanguageTag
        from langcodes import tag_distance

        one, two = str(self), str(other)
        scripts = {LanguageTag.get(tag).maximize().script for tag in (one, two)}
        return max(int(tag_distance(one, two)), 50 if len(scripts) > 1 else 0)

    def matches(self, other: Tag) -> bool:
        """Return whether text with the tag `other` can be used where this tag is requested.

        The languages are the same, and the scripts and regions are not too far apart. A tag that names
        neither script nor region matches all tags of its language.
        """
        bare = not (self.script or self.region) or not (other.script or other.region)
        return self.language == other.language and (bare or self.is_close(other))

    def is_close(self, other: Tag) -> bool:
        """Return whether the languages and scripts are the same; what is not named is the usual one."""
        return self.distance(other) <= _CLOSE


#: Modifiers of gettext's locales that are scripts.
_MODIFIERS = {"latin": "latn", "cyrillic": "cyrl", "devanagari": "deva", "arabic": "arab"}
#: Largest distance of tags that match. Regions of one script are at most 10 apart in CLDR's table.
_CLOSE = 10


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Tag | None:
    return None if lookup(text) is None else Tag.parse(text)


def matching_tags(wanted: str, found: Iterable[str]) -> list[str]:
    """Return those of the words `found` that are tags matching the requested tag `wanted`.

    If one of them is the requested tag in any spelling, the result is this one alone. If a script or region
    was requested, only the nearest ones are returned.

    Parameters
    ----------
    wanted : str
        The requested language tag.
    found : iterable of str
        Words, such as column names; words that name no language are ignored.
    """
    return list(_matching(wanted, tuple(found)))


@lru_cache(maxsize=4096)
def _matching(wanted: str, found: tuple[str, ...]) -> tuple[str, ...]:
    asked = Tag.parse(wanted)
    tags: dict[Tag, str] = {}
    for word in found:
        tag = _parsed(word)
        if tag is not None and asked.matches(tag):
            tags.setdefault(tag, word)
    if asked in tags:
        return (tags[asked],)
    if asked.script or asked.region:
        distances = {tag: asked.distance(tag) for tag in tags}
        nearest_tags = [tag for tag in tags if distances[tag] == min(distances.values())]
        return tuple(tags[tag] for tag in nearest_tags)
    return tuple(tags.values())


def choose_tag(
    wanted: str, found: Iterable[str], *, path: str | Path | None = None, line: int | None = None
) -> str | None:
    """Return that one of the words `found` which is the requested tag, or the only one that matches it.

    Parameters
    ----------
    wanted : str
        The requested language tag.
    found : iterable of str
        Words, such as column names; words that name no language are ignored.
    path : path, optional
        The file that contains them, for the error message.
    line : int, optional
        The line that contains them, for the error message.

    Returns
    -------
    str or None
        None if no word matches.

    Raises
    ------
    InputError
        If several match and none of them is exactly what was requested.
    """
    matching = matching_tags(wanted, found)
    if len(matching) > 1:
        raise InputError(
            f"{', '.join(matching)} all match the language {wanted!r}; give one of them as the language",
            path=path,
            line=line,
        )
    return matching[0] if matching else None


class TagChooser:
    """Selects the requested tag in each unit of a file.

    Parameters
    ----------
    wanted : str
        The requested language tag.
    path : path
        The file, for error messages.
    tags : callable, optional
        Returns all tags of the file. It is called if a script or region was requested: then only the tag of
        the file that matches it best is used, even in units that do not have it.
    strict : bool
        Whether this applies to any request: a file with several matching tags, none of which is exactly what
        was requested, is refused.
    """

    def __init__(
        self,
        wanted: str,
        path: str | Path,
        tags: Callable[[], Iterable[str]] | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self.wanted, self.path = wanted, path
        asked = Tag.parse(wanted)
        self._bare = not (asked.script or asked.region)
        self._chosen: dict[str, Tag] = {}
        self._only: Tag | None = None
        if tags is not None and (strict or not self._bare):
            best = choose_tag(wanted, dict.fromkeys(tags()), path=path)
            self._only = None if best is None else Tag.parse(best)

    def choose(self, found: Iterable[str], *, line: int | None = None) -> str | None:
        """Return that one of the words `found` which is the requested tag, or the only one that matches it.

        `line` is the line that contains them, for error messages.

        Raises
        ------
        InputError
            As in `choose_tag`, or if no script was requested and units of the file differ in it.
        """
        if self._only is not None:
            found = [word for word in found if _parsed(word) == self._only]
        word = choose_tag(self.wanted, found, path=self.path, line=line)
        if word is not None and word not in self._chosen:
            tag = Tag.parse(word)
            for other, earlier in self._chosen.items():
                if self._bare and earlier.distance(tag) > _CLOSE:
                    raise InputError(
                        f"{other} and {word} both match the language {self.wanted!r}; give one of them as "
                        "the language",
                        path=self.path,
                        line=line,
                    )
            self._chosen[word] = tag
        return word
