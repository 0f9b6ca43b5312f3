"""An attribute that `ctx` has not: the nearest one is named."""

from __future__ import annotations

import copy
import logging

import pytest

from byron.commands.context import Context, component_models
from byron.sink.context import HandlerContext


@pytest.fixture(params=[Context, HandlerContext])
def ctx(request, library):
    context = object.__new__(request.param)
    object.__setattr__(context, "db", component_models(library))
    object.__setattr__(context, "log", logging.getLogger("x"))
    return context


def test_a_type_that_is_misspelt_is_guessed(ctx):
    with pytest.raises(AttributeError, match='^ctx.db has no "Bok"; did you mean "Book"\\?$'):
        ctx.db.Bok  # noqa: B018


def test_the_types_are_listed_where_none_is_like_it(ctx):
    with pytest.raises(AttributeError, match='^ctx.db has no "Zzz"; schema.yaml declares Author, Book, Everything, '):
        ctx.db.Zzz  # noqa: B018


def test_an_attribute_that_is_misspelt_is_guessed(ctx):
    with pytest.raises(AttributeError, match='^ctx has no "emti"; did you mean "emit"\\?$'):
        ctx.emti  # noqa: B018
    with pytest.raises(AttributeError, match='^ctx has no "zzzzz"$'):
        ctx.zzzzz  # noqa: B018


def test_what_asks_for_an_attribute_gets_its_answer(ctx):
    assert not hasattr(ctx, "nothing")
    assert getattr(ctx.db, "Nothing", None) is None
    assert copy.copy(ctx.db) == ctx.db
