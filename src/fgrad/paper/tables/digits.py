"""Numbers as texts: as many digits as the deviation warrants, powers of ten set as such.

The rule: the standard deviation has one significant digit, two where it begins with 1, and the mean
ends where it ends, 63.04 ± 0.06. Without a deviation, or with one of 0, four significant digits.
"""

import math

SIGNIFICANT = 4
"""Significant digits of what has no deviation."""

FLOAT32 = 7
"""Significant digits of a mean at most: what single precision carries."""

SMALLEST, LARGEST = 1e-3, 1e5
"""Numbers below the one and from the other on are written with a power of ten."""

DIVERGED = "diverged"

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = SIGNIFICANT) -> str:
    """A number of so many significant digits; nothing for a missing one.

    >>> number(0.00001234567), number(-39.16599), number(25000.0), number(math.nan)
    ('1.235 × 10⁻⁵', '−39.17', '25,000', '')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    exponent = _exponent(value, digits)
    if _is_plain(exponent, value):
        return _fixed(value, max(0, digits - 1 - exponent))
    return _scaled(_fixed(value / 10.0**exponent, digits - 1), exponent)


def shortest(value: float, digits: int = 6) -> str:
    """A number that somebody chose: so many digits at most, without zeros at the end.

    >>> shortest(0.25), shortest(0.00192531), shortest(1e-06)
    ('0.25', '0.00192531', '1 × 10⁻⁶')
    """
    if not math.isfinite(value) or value == 0:
        return number(value)
    exponent = _exponent(value, digits)
    plain = _is_plain(exponent, value)
    decimals = digits - 1 - (exponent if plain else 0)
    text = _fixed(value if plain else value / 10.0**exponent, decimals)
    text = text.rstrip("0").rstrip(".") if decimals > 0 else text
    return text if plain else _scaled(text, exponent)


def plus_minus(mean: float, std: float) -> str:
    """Mean ± standard deviation; ``diverged`` where the mean is infinite.

    >>> plus_minus(63.0419, 0.0618), plus_minus(2.0, 0.0), plus_minus(4.56789, math.nan)
    ('63.04 ± 0.06', '2 ± 0', '4.568')
    >>> plus_minus(0.0000123, 0.0000014), plus_minus(-2506.62329, 1e-9)
    ('(1.23 ± 0.14) × 10⁻⁵', '−2,506.623 ± 1 × 10⁻⁹')
    """
    if not math.isfinite(mean):
        return "" if math.isnan(mean) else DIVERGED
    if not math.isfinite(std):
        return number(mean)
    if std == 0:
        return f"{shortest(mean, SIGNIFICANT)} ± 0"
    size = max(abs(mean), std)
    last = _exponent(std, 2)  # power of ten of the last digit shown
    last -= f"{std:.1e}"[0] == "1"
    digits = _exponent(size, FLOAT32) - last + 1
    if digits > FLOAT32:
        return f"{shortest(mean, FLOAT32)} ± {number(std, 1)}"
    exponent = _exponent(size, digits)
    if _is_plain(exponent, size):
        return f"{_fixed(mean, -last)} ± {_fixed(std, -last)}"
    scale = 10.0**exponent
    pair = (_fixed(value / scale, exponent - last) for value in (mean, std))
    return _scaled("({} ± {})".format(*pair), exponent)


def _exponent(value: float, digits: int) -> int:
    """Power of ten of the first digit, after rounding to so many."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _is_plain(exponent: int, value: float) -> bool:
    return SMALLEST <= 10.0**exponent < LARGEST or SMALLEST <= abs(value) < LARGEST


def _fixed(value: float, decimals: int) -> str:
    """So many decimals; where the last digit is one of tens or above, rounded to it."""
    text = f"{round(value, decimals):,.{max(0, decimals)}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def _scaled(text: str, exponent: int) -> str:
    return f"{text} × 10{str(exponent).translate(_RAISED)}"
