"""Languages: codes, names, scripts, families, resource classes, and how their spellings meet.

Sources. Codes and names: ISO 639. Families: the top family of Glottolog and a customary branch of it.
Resource classes: the taxonomy published with Joshi et al. 2020, "The state and fate of linguistic
diversity and inclusion in the NLP world" (arXiv 2004.09095), from 0, "the left-behinds", to 5, "the
winners". It lists names, not codes; where a language is absent or listed twice with different classes, the
class here is unknown. XLM-R: the list of Conneau et al. 2020 (arXiv 1911.02116), whose 100 entries are 93
languages once romanised, Zawgyi and traditional Chinese variants are folded in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from engine.errors import InputError, nearest


@dataclass(frozen=True, slots=True)
class Language:
    """One language.

    Attributes
    ----------
    code : str
        Its ISO 639-1 code, or its ISO 639-3 code if it has no shorter one.
    code3 : str
        Its ISO 639-3 code. Exceptions: ``ber`` (ISO 639-5), as Tatoeba does not say which Berber language,
        and ``kzj``, which ISO withdrew in 2016 but Tatoeba keeps.
    name : str
        English name.
    script : str
        ISO 15924 code of the script it is mostly written in.
    family : str
        Top family, then branch.
    resource_class : int, optional
        Class 0 to 5 of Joshi et al. 2020; None where the taxonomy gives no clear answer.
    xlmr : bool
        Whether XLM-R was pre-trained on it.
    tatoeba : str, optional
        Its code in the file names of the Tatoeba test set of LASER.
    aliases : tuple of str
        Other codes that mean it: ISO 639-2/B, withdrawn codes, and the individual language that a
        macrolanguage's texts are nearly always in.
    """

    code: str
    code3: str
    name: str
    script: str
    family: str
    resource_class: int | None
    xlmr: bool
    tatoeba: str | None
    aliases: tuple[str, ...]

    @property
    def resource(self) -> Literal["high", "medium", "low"] | None:
        """``high`` for classes 4 and 5, ``medium`` for 3, ``low`` for 0 to 2; None if unknown."""
        if self.resource_class is None:
            return None
        return "high" if self.resource_class >= 4 else "medium" if self.resource_class == 3 else "low"


# code | ISO 639-3 | script | class (- unknown) | x: in XLM-R | Tatoeba's code | name | family | aliases
_TABLE = """
af|afr|Latn|3|x|afr|Afrikaans|Indo-European, Germanic|
am|amh|Ethi|2|x|amh|Amharic|Afro-Asiatic, Semitic|
ang|ang|Latn|1||ang|Old English|Indo-European, Germanic|
ar|ara|Arab|5|x|ara|Arabic|Afro-Asiatic, Semitic|arb
arq|arq|Arab|-||arq|Algerian Arabic|Afro-Asiatic, Semitic|
ary|ary|Arab|-|||Moroccan Arabic|Afro-Asiatic, Semitic|
arz|arz|Arab|3||arz|Egyptian Arabic|Afro-Asiatic, Semitic|
as|asm|Beng|1|x||Assamese|Indo-European, Indo-Aryan|
ast|ast|Latn|1||ast|Asturian|Indo-European, Romance|
awa|awa|Deva|0||awa|Awadhi|Indo-European, Indo-Aryan|
ay|aym|Latn|1|||Aymara|Aymaran|
az|aze|Latn|1|x|aze|Azerbaijani|Turkic|azj
ba|bak|Cyrl|1|||Bashkir|Turkic|
be|bel|Cyrl|3|x|bel|Belarusian|Indo-European, Slavic|
ber|ber|Latn|-||ber|Berber languages|Afro-Asiatic, Berber|
bg|bul|Cyrl|3|x|bul|Bulgarian|Indo-European, Slavic|
bho|bho|Deva|1|||Bhojpuri|Indo-European, Indo-Aryan|
bm|bam|Latn|1|||Bambara|Mande|
bn|ben|Beng|3|x|ben|Bengali|Indo-European, Indo-Aryan|
bo|bod|Tibt|1|||Tibetan|Sino-Tibetan, Bodic|tib
br|bre|Latn|1|x|bre|Breton|Indo-European, Celtic|
bs|bos|Latn|3|x|bos|Bosnian|Indo-European, Slavic|
ca|cat|Latn|4|x|cat|Catalan|Indo-European, Romance|
cbk|cbk|Latn|1||cbk|Chavacano|Indo-European, Romance|
ceb|ceb|Latn|3||ceb|Cebuano|Austronesian, Philippine|
ch|cha|Latn|1||cha|Chamorro|Austronesian, Malayo-Polynesian|
ckb|ckb|Arab|1|||Central Kurdish|Indo-European, Iranian|
cs|ces|Latn|4|x|ces|Czech|Indo-European, Slavic|cze
csb|csb|Latn|1||csb|Kashubian|Indo-European, Slavic|
cy|cym|Latn|1|x|cym|Welsh|Indo-European, Celtic|wel
da|dan|Latn|3|x|dan|Danish|Indo-European, Germanic|
de|deu|Latn|5|x|deu|German|Indo-European, Germanic|ger
din|din|Latn|1|||Dinka|Nilotic|dik
dsb|dsb|Latn|1||dsb|Lower Sorbian|Indo-European, Slavic|
dtp|dtp|Latn|0||dtp|Kadazan Dusun|Austronesian, North Borneo|
dz|dzo|Tibt|1|||Dzongkha|Sino-Tibetan, Bodic|
ee|ewe|Latn|1|||Ewe|Atlantic-Congo, Kwa|
el|ell|Grek|3|x|ell|Greek|Indo-European, Greek|gre
en|eng|Latn|5|x||English|Indo-European, Germanic|
eo|epo|Latn|1|x|epo|Esperanto|Constructed|
es|spa|Latn|5|x|spa|Spanish|Indo-European, Romance|
et|est|Latn|3|x|est|Estonian|Uralic, Finnic|ekk
eu|eus|Latn|4|x|eus|Basque|Basque|baq
fa|fas|Arab|4|x|pes|Persian|Indo-European, Iranian|per pes
fi|fin|Latn|4|x|fin|Finnish|Uralic, Finnic|
fo|fao|Latn|1||fao|Faroese|Indo-European, Germanic|
fr|fra|Latn|5|x|fra|French|Indo-European, Romance|fre
fuv|fuv|Latn|-|||Nigerian Fulfulde|Atlantic-Congo, North-Central Atlantic|
fy|fry|Latn|1|x|fry|Western Frisian|Indo-European, Germanic|
ga|gle|Latn|2|x|gle|Irish|Indo-European, Celtic|
gd|gla|Latn|1|x|gla|Scottish Gaelic|Indo-European, Celtic|
gl|glg|Latn|3|x|glg|Galician|Indo-European, Romance|
gn|grn|Latn|1|||Guarani|Tupian|gug
gsw|gsw|Latn|-||gsw|Swiss German|Indo-European, Germanic|
gu|guj|Gujr|1|x||Gujarati|Indo-European, Indo-Aryan|
ha|hau|Latn|2|x||Hausa|Afro-Asiatic, Chadic|
he|heb|Hebr|3|x|heb|Hebrew|Afro-Asiatic, Semitic|iw
hi|hin|Deva|4|x|hin|Hindi|Indo-European, Indo-Aryan|
hr|hrv|Latn|4|x|hrv|Croatian|Indo-European, Slavic|
hsb|hsb|Latn|1||hsb|Upper Sorbian|Indo-European, Slavic|
ht|hat|Latn|2|||Haitian Creole|Indo-European, Romance|
hu|hun|Latn|4|x|hun|Hungarian|Uralic, Hungarian|
hy|hye|Armn|1|x|hye|Armenian|Indo-European, Armenian|arm
ia|ina|Latn|1||ina|Interlingua|Constructed|
id|ind|Latn|3|x|ind|Indonesian|Austronesian, Malayic|in
ie|ile|Latn|1||ile|Interlingue|Constructed|
ig|ibo|Latn|1|||Igbo|Atlantic-Congo, Igboid|
ilo|ilo|Latn|1|||Iloko|Austronesian, Philippine|
io|ido|Latn|1||ido|Ido|Constructed|
is|isl|Latn|2|x|isl|Icelandic|Indo-European, Germanic|ice
it|ita|Latn|4|x|ita|Italian|Indo-European, Romance|
ja|jpn|Jpan|5|x|jpn|Japanese|Japonic|
jv|jav|Latn|1|x|jav|Javanese|Austronesian, Javanese|jw
ka|kat|Geor|3|x|kat|Georgian|Kartvelian|geo
kab|kab|Latn|1||kab|Kabyle|Afro-Asiatic, Berber|
kk|kaz|Cyrl|3|x|kaz|Kazakh|Turkic|
km|khm|Khmr|1|x|khm|Khmer|Austroasiatic, Khmeric|
kn|kan|Knda|1|x||Kannada|Dravidian|
ko|kor|Kore|4|x|kor|Korean|Koreanic|
kr|kau|Latn|0|||Kanuri|Saharan|knc
ku|kur|Latn|1|x|kur|Kurdish|Indo-European, Iranian|kmr
kw|cor|Latn|1||cor|Cornish|Indo-European, Celtic|
ky|kir|Cyrl|1|x||Kyrgyz|Turkic|
kzj|kzj|Latn|-||kzj|Coastal Kadazan|Austronesian, North Borneo|
la|lat|Latn|3|x|lat|Latin|Indo-European, Italic|
lb|ltz|Latn|1|||Luxembourgish|Indo-European, Germanic|
lfn|lfn|Latn|1||lfn|Lingua Franca Nova|Constructed|
lg|lug|Latn|1|||Ganda|Atlantic-Congo, Bantu|
ln|lin|Latn|1|||Lingala|Atlantic-Congo, Bantu|
lo|lao|Laoo|2|x||Lao|Tai-Kadai|
lt|lit|Latn|3|x|lit|Lithuanian|Indo-European, Baltic|
lv|lav|Latn|3|x|lvs|Latvian|Indo-European, Baltic|lvs
mai|mai|Deva|1|||Maithili|Indo-European, Indo-Aryan|
max|max|Latn|-||max|North Moluccan Malay|Austronesian, Malayic|
mg|mlg|Latn|1|x||Malagasy|Austronesian, Barito|plt
mhr|mhr|Cyrl|1||mhr|Eastern Mari|Uralic, Mari|
mi|mri|Latn|1|||Maori|Austronesian, Oceanic|mao
mk|mkd|Cyrl|1|x|mkd|Macedonian|Indo-European, Slavic|mac
ml|mal|Mlym|1|x|mal|Malayalam|Dravidian|
mn|mon|Cyrl|1|x|mon|Mongolian|Mongolic|khk
mr|mar|Deva|2|x|mar|Marathi|Indo-European, Indo-Aryan|
ms|msa|Latn|3|x|zsm|Malay|Austronesian, Malayic|may zsm zlm
mt|mlt|Latn|2|||Maltese|Afro-Asiatic, Semitic|
my|mya|Mymr|1|x||Burmese|Sino-Tibetan, Burmish|bur
nb|nob|Latn|1|x|nob|Norwegian Bokmål|Indo-European, Germanic|no nor
nds|nds|Latn|1||nds|Low German|Indo-European, Germanic|
ne|nep|Deva|1|x||Nepali|Indo-European, Indo-Aryan|npi
nl|nld|Latn|4|x|nld|Dutch|Indo-European, Germanic|dut
nn|nno|Latn|1||nno|Norwegian Nynorsk|Indo-European, Germanic|
nov|nov|Latn|1||nov|Novial|Constructed|
nso|nso|Latn|1|||Northern Sotho|Atlantic-Congo, Bantu|
nus|nus|Latn|0|||Nuer|Nilotic|
ny|nya|Latn|1|||Nyanja|Atlantic-Congo, Bantu|
oc|oci|Latn|1||oci|Occitan|Indo-European, Romance|
om|orm|Latn|1|x||Oromo|Afro-Asiatic, Cushitic|gaz
or|ori|Orya|1|x||Odia|Indo-European, Indo-Aryan|ory
orv|orv|Cyrl|-||orv|Old Russian|Indo-European, Slavic|
os|oss|Cyrl|1|||Ossetian|Indo-European, Iranian|
pa|pan|Guru|2|x||Punjabi|Indo-European, Indo-Aryan|
pam|pam|Latn|1||pam|Kapampangan|Austronesian, Philippine|
pl|pol|Latn|4|x|pol|Polish|Indo-European, Slavic|
pms|pms|Latn|1||pms|Piedmontese|Indo-European, Romance|
prs|prs|Arab|0|||Dari|Indo-European, Iranian|
ps|pus|Arab|1|x||Pashto|Indo-European, Iranian|pbt pst
pt|por|Latn|4|x|por|Portuguese|Indo-European, Romance|
qu|que|Latn|1|||Quechua|Quechuan|
ro|ron|Latn|3|x|ron|Romanian|Indo-European, Romance|rum mo mol
ru|rus|Cyrl|4|x|rus|Russian|Indo-European, Slavic|
rw|kin|Latn|1|||Kinyarwanda|Atlantic-Congo, Bantu|
sa|san|Deva|2|x||Sanskrit|Indo-European, Indo-Aryan|
sc|srd|Latn|1|||Sardinian|Indo-European, Romance|
sd|snd|Arab|1|x||Sindhi|Indo-European, Indo-Aryan|
si|sin|Sinh|1|x||Sinhala|Indo-European, Indo-Aryan|
sk|slk|Latn|3|x|slk|Slovak|Indo-European, Slavic|slo
sl|slv|Latn|3|x|slv|Slovenian|Indo-European, Slavic|
sn|sna|Latn|1|||Shona|Atlantic-Congo, Bantu|
so|som|Latn|1|x||Somali|Afro-Asiatic, Cushitic|
sq|sqi|Latn|1|x|sqi|Albanian|Indo-European, Albanian|alb als
sr|srp|Cyrl|4|x|srp|Serbian|Indo-European, Slavic|
ss|ssw|Latn|1|||Swati|Atlantic-Congo, Bantu|
st|sot|Latn|1|||Southern Sotho|Atlantic-Congo, Bantu|
su|sun|Latn|1|x||Sundanese|Austronesian, Sundanese|
sv|swe|Latn|4|x|swe|Swedish|Indo-European, Germanic|
sw|swa|Latn|2|x|swh|Swahili|Atlantic-Congo, Bantu|swh
swc|swc|Latn|-|||Congo Swahili|Atlantic-Congo, Bantu|
swg|swg|Latn|-||swg|Swabian|Indo-European, Germanic|
ta|tam|Taml|3|x|tam|Tamil|Dravidian|
te|tel|Telu|1|x|tel|Telugu|Dravidian|
tg|tgk|Cyrl|1|||Tajik|Indo-European, Iranian|
th|tha|Thai|3|x|tha|Thai|Tai-Kadai|
ti|tir|Ethi|2|||Tigrinya|Afro-Asiatic, Semitic|
tk|tuk|Latn|1||tuk|Turkmen|Turkic|
tl|tgl|Latn|3|x|tgl|Tagalog|Austronesian, Philippine|fil
tn|tsn|Latn|2|||Tswana|Atlantic-Congo, Bantu|
tr|tur|Latn|4|x|tur|Turkish|Turkic|
ts|tso|Latn|1|||Tsonga|Atlantic-Congo, Bantu|
tt|tat|Cyrl|1||tat|Tatar|Turkic|
tw|twi|Latn|1|||Twi|Atlantic-Congo, Kwa|
tzl|tzl|Latn|-||tzl|Talossan|Constructed|
udm|udm|Cyrl|1|||Udmurt|Uralic, Permic|
ug|uig|Arab|1|x|uig|Uyghur|Turkic|
uk|ukr|Cyrl|3|x|ukr|Ukrainian|Indo-European, Slavic|
ur|urd|Arab|3|x|urd|Urdu|Indo-European, Indo-Aryan|
uz|uzb|Latn|3|x|uzb|Uzbek|Turkic|uzn
ve|ven|Latn|1|||Venda|Atlantic-Congo, Bantu|
vi|vie|Latn|4|x|vie|Vietnamese|Austroasiatic, Vietic|
war|war|Latn|-||war|Waray|Austronesian, Philippine|
wo|wol|Latn|2|||Wolof|Atlantic-Congo, North-Central Atlantic|
wuu|wuu|Hans|1||wuu|Wu Chinese|Sino-Tibetan, Sinitic|
xh|xho|Latn|2|x|xho|Xhosa|Atlantic-Congo, Bantu|
yi|yid|Hebr|1|x|yid|Yiddish|Indo-European, Germanic|ji ydd
yo|yor|Latn|2|||Yoruba|Atlantic-Congo, Yoruboid|
yue|yue|Hant|1||yue|Cantonese|Sino-Tibetan, Sinitic|
zh|zho|Hans|5|x|cmn|Chinese|Sino-Tibetan, Sinitic|chi cmn
zu|zul|Latn|2|||Zulu|Atlantic-Congo, Bantu|
"""


def _row(line: str) -> Language:
    code, code3, script, level, xlmr, tatoeba, name, family, aliases = line.split("|")
    resource_class = None if level == "-" else int(level)
    return Language(
        code, code3, name, script, family, resource_class, bool(xlmr), tatoeba or None, tuple(aliases.split())
    )


LANGUAGES: tuple[Language, ...] = tuple(_row(line) for line in _TABLE.split("\n") if line)
"""Every language known, sorted by code."""

_BY_SPELLING = {
    spelling.casefold(): entry
    for entry in LANGUAGES
    for spelling in (entry.code, entry.code3, entry.name, *entry.aliases)
}


@lru_cache(maxsize=4096)
def language(code: str) -> Language:
    """Return the language that `code` names.

    Parameters
    ----------
    code : str
        An ISO 639-1, 639-2/B or 639-3 code, an English name, or a tag with script, region or variant in
        BCP 47's, Django's or gettext's spelling (``pt-BR``, ``zh_Hans``, ``sr@latin``). These parts choose
        among a language's spellings, not among languages: ``es-LA`` is Spanish.

    Raises
    ------
    InputError
        If no language has that code; the nearest spelling is named.
    """
    spelling = code.strip().casefold()
    first, *rest = spelling.split("@")[0].split(".")[0].replace("_", "-").split("-")
    if spelling in _BY_SPELLING:
        return _BY_SPELLING[spelling]
    if first in _BY_SPELLING and all(_is_subtag(part) for part in rest):
        return _BY_SPELLING[first]
    raise InputError(f"unknown language code {code!r}{nearest(spelling, list(_BY_SPELLING))}")


def language_name(code: str) -> str:
    """Return the English name of a language, or `code` itself where the language is unknown."""
    try:
        return language(code).name
    except InputError:
        return code


def same_language(a: str, b: str) -> bool:
    """Tell whether two codes name one language, whatever their standard, script and region.

    Raises
    ------
    InputError
        If either code is unknown.
    """
    return language(a) == language(b)


def names_language(tag: str, code: str) -> bool:
    """Tell whether `tag`, which may name no language at all, names the language of `code`."""
    return _known(tag) == language(code)


def names_other_language(tag: str, code: str) -> bool:
    """Tell whether `tag` names a language, and another than that of `code`."""
    return _known(tag) not in (None, language(code))


def looks_like_language(word: str) -> bool:
    """Return whether a word in the name of a file, folder or column probably names a language."""
    return _known(word) is not None


@lru_cache(maxsize=4096)
def _known(tag: str) -> Language | None:
    try:
        return language(tag)
    except InputError:
        return None


def _is_subtag(part: str) -> bool:
    """Tell whether `part` can be a script, region or variant; three letters would be another language."""
    return part.isascii() and part.isalnum() and len(part) <= 8 and not (len(part) == 3 and part.isalpha())
