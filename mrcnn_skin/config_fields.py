"""The fields of a Config: which can be set, which are computed, how they are stored."""

import functools
import json


class ComputedField(property):
    """A field that follows from others and cannot be set."""

    sources = ()  # names of the fields that it follows from


def computed_from(*sources):
    """Make a method of Config a ComputedField."""

    def decorate(method):
        field = ComputedField(method)
        field.sources = sources
        return field

    return decorate


def settable_fields(cls):
    """Names of the fields that can be set: Config's own and annotated ones."""
    config = cls.__mro__[-2]  # the last one is object
    names = [n for n, v in vars(config).items() if n.isupper() and not _is_property(v)]
    for base in reversed(cls.__mro__):
        declared = vars(base).get("__annotations__", {})
        names += [n for n in declared if n.isupper() and n not in names]
    return names


def computed_fields(cls):
    """Names of upper-case properties, which are computed and cannot be set."""
    return {
        n
        for base in cls.__mro__
        for n, v in vars(base).items()
        if n.isupper() and _is_property(v)
    }


def _is_property(value):
    return isinstance(value, property)


def as_plain(value):
    """Turn lists and arrays into tuples, so that a field is never shared by change."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(as_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: as_plain(item) for key, item in value.items()}
    return value


def fits_json(value):
    """Whether a value comes back from JSON as it was."""
    try:
        return as_plain(json.loads(json.dumps(value))) == value
    except (TypeError, ValueError):
        return False


def function_name(function):
    """The name of a callable; that of the function within a functools.partial."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", type(function).__qualname__)
