"""Words of diagnoses, and the options that state what values mean.

Actinic keratosis is malignant under the challenges' codes AKIEC and AK. Spelled out, or
as PAD-UFES-20's ACK, it is no label: its authors do not count it as cancer.
"""

import re
from typing import NamedTuple

BENIGN, MALIGNANT = "benign", "malignant"
UNSURE = "unsure"  # in place of a label

_MALIGNANT = """
mel, bcc, scc, akiec, ak, melanoma, malignant melanoma, melanoma in situ,
melanoma metastasis, lentigo maligna, lentigo maligna melanoma, basal cell carcinoma,
squamous cell carcinoma"""
_BENIGN = """
nv, bkl, df, vasc, nev, sek, nevus, naevus, nevi, naevi, seborrheic keratosis,
seborrhoeic keratosis, benign keratosis, pigmented benign keratosis,
benign keratosis like lesion, lichenoid keratosis, dermatofibroma, solar lentigo,
lentigo simplex, lentigo nos, vascular lesion, angioma, hemangioma, haemangioma,
cherry angioma"""
DIAGNOSES = {
    **dict.fromkeys(re.split(r",\s+", _MALIGNANT.strip()), MALIGNANT),
    **dict.fromkeys(re.split(r",\s+", _BENIGN.strip()), BENIGN),
    **{
        f"{kind} {noun}": BENIGN
        for kind in (
            *("melanocytic", "common", "atypical", "dysplastic", "blue", "spitz"),
            *("junctional", "compound", "dermal", "intradermal"),
        )
        for noun in ("nevus", "naevus", "nevi", "naevi")
    },
}
_EMPTY = ("nan", "na", "n/a", "null", "<na>", "-")
UNKNOWN = ("unk", "unknown", "other", "none")
_DOUBT = re.compile(
    r"\?|\b(in|un)(determinate|certain|sure|clear)|\b(suspect|suspicious|possibl|probabl)"
    r"|\b(borderline|equivocal|pre ?malignant|precancer|not|excluded)\b|^no "
)
# Words of a malignant diagnosis, and those before them that may negate it
_MALIGNANT_WORD = re.compile(r"melanoma|carcinoma|sarcoma|\bmalign")
_NEGATION = re.compile(
    r"\b(no|non|not|pre|without|negative|free|exclud\w+|ruled?|history)\b"
)
TRUTH_WORDS = ({"0", "1"}, {"false", "true"}, {"f", "t"}, {"no", "yes"}, {"n", "y"})
# Parts of a text such as "0 = malignant, 1 = benign" or {"benign": 1, "malignant": 0}
_CODE, _GAP = r"\b(?P<code{}>[01])\b", r"""[ \t"'=:|>()-]{{1,6}}"""
_WORD = (
    r"\b(?P<word{}>malignan\w*|melanoma\w*|cancer\w*"
    r"|benign\w*|na?ev\w+|non-?(?:melanoma|cancer)\w*|healthy)"
)
_EXPLAINED = re.compile(
    (_CODE + _GAP + _WORD).format("", "") + "|" + (_WORD + _GAP + _CODE).format(2, 2),
    re.I,
)


class LabelOptions(NamedTuple):
    """How to read the tables where their names and values are not clear.

    Attributes:
        label_table: name or path of the only table that holds labels.
        image_column: column of image names, in every table.
        label_column: column of diagnoses, or several one-hot columns.
        malignant: values (of one-hot columns: their names) that mean malignant. Known
            benign diagnoses, and all other numbers, are then benign; the rest is no
            label. Without label_column, exactly one column must have such values.
        benign: values that mean benign. If malignant is given too, all others are no
            label.
        split_column: column of train, val, test.
        group_column: column of what must stay in one split, such as patients.
    """

    label_table: str | None = None
    image_column: str | None = None
    label_column: str | tuple | None = None
    malignant: tuple = ()
    benign: tuple = ()
    split_column: str | None = None
    group_column: str | None = None

    @classmethod
    def of(cls, **options):
        """Make LabelOptions from keywords; malignant and benign may be one text.

        Raises:
            ValueError: for an unknown option or a value of another type.
        """
        for name, value in options.items():
            if name not in cls._fields:
                known = ", ".join(cls._fields)
                raise ValueError(f"unknown option {name!r}; the options are {known}")
            is_list = name in ("label_column", "malignant", "benign")
            texts = value if is_list and isinstance(value, tuple | list) else (value,)
            if value is not None and not all(isinstance(text, str) for text in texts):
                wanted = "text or a list of texts" if is_list else "text"
                raise ValueError(f"{name} must be {wanted}, got {value!r}")
            if name == "label_column" and len({*map(normalise, texts)}) < len(texts):
                raise ValueError(f"{name} names a column twice: {', '.join(texts)}")
        for name in ("malignant", "benign"):
            value = options.get(name) or ()
            options[name] = (value,) if isinstance(value, str) else tuple(value)
        both = set(map(normalise, options["malignant"]))
        both &= set(map(normalise, options["benign"]))
        if both:
            raise ValueError(f"malignant and benign both name {shown(both)}")
        return cls(**options)

    def label_columns(self):
        """Return the label columns as a tuple, () if not given."""
        columns = self.label_column or ()
        return (columns,) if isinstance(columns, str) else tuple(columns)

    def values(self):
        """Return the set of the normalised values of malignant and benign."""
        return set(map(normalise, (*self.malignant, *self.benign)))


AS_WRITTEN = LabelOptions()  # no option is given


def meaning_of(value, options=AS_WRITTEN):
    """Return "benign", "malignant" or None for a diagnosis, ignoring case."""
    word = normalise(value)
    if word in (BENIGN, MALIGNANT):
        return word
    if word in map(normalise, options.malignant):
        return MALIGNANT
    if word in map(normalise, options.benign):
        return BENIGN
    if options.malignant and not options.benign and is_code(word):
        return BENIGN
    known = DIAGNOSES.get(word) or DIAGNOSES.get(word.removesuffix("s"))
    # Where the options list the malignant values, a diagnosis they omit is none
    return None if known and getattr(options, known) else known


def names_class(text, options=AS_WRITTEN):
    """Whether a column or folder is named like a diagnosis or a value of options."""
    return meaning_of(text) is not None or normalise(text) in options.values()


def names_doubt(text):
    """Whether a word of a column or folder expresses doubt, such as "suspicious"."""
    return bool(_DOUBT.search(normalise(text)))


def has_malignant_word(text):
    """Whether a clause of a text has a word such as "melanoma", without a negation."""
    for clause in re.split("[,;.]", normalise(text)):
        found = _MALIGNANT_WORD.search(clause)
        if found and not _NEGATION.search(clause[: found.start()]):
            return True
    return False


def text_inverts_codes(text):
    """Whether a text says that 0 is malignant and 1 is benign."""
    said = set()
    for found in _EXPLAINED.finditer(text):
        code, word = found["code"] or found["code2"], found["word"] or found["word2"]
        said.add((code, word.lower().startswith(("mal", "mel", "can"))))
    return said == {("0", True), ("1", False)}


def normalise(value):
    """Return a value in lower case with single spaces; 1.0 as "1", NaN as ""."""
    text = re.sub(r"[\s_]+|(?<=\w)-+", " ", str(value).strip().lower())
    return "" if text in _EMPTY else re.sub(r"^(\d+)\.0*$", r"\1", text)


def is_code(word):
    """Whether a normalised value is a number, true, false or the like."""
    return is_number(word) or any(word in words for words in TRUTH_WORDS)


def is_number(text):
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(values, count=8):
    """List the first values, sorted."""
    values = sorted(map(str, values))
    more = f" and {len(values) - count} more" if len(values) > count else ""
    return ", ".join(value[:40] for value in values[:count]) + more
