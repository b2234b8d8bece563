from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle_structures, http as oracle

from duoflask.http.entity_fields import (
    is_entity_header,
    is_hop_by_hop_header,
    remove_entity_headers,
    remove_hop_by_hop_headers,
)
from duoflask.http.headers import Headers

NAMES = sorted(oracle._entity_headers | oracle._hop_by_hop_headers | {"accept", "host", "x-own"})
PAIRS = st.lists(st.tuples(st.sampled_from([*NAMES, *map(str.title, NAMES)]), st.just("x")), max_size=8)


@pytest.mark.parametrize("name", [*NAMES, *map(str.title, NAMES), "", "\xe9"])
def test_kind_of_a_field_is_werkzeugs(name):
    assert is_entity_header(name) == oracle.is_entity_header(name)
    assert is_hop_by_hop_header(name) == oracle.is_hop_by_hop_header(name)


@given(PAIRS)
def test_fields_are_removed_as_in_werkzeug(pairs):
    for ours, theirs in (
        (remove_entity_headers, oracle.remove_entity_headers),
        (remove_hop_by_hop_headers, oracle.remove_hop_by_hop_headers),
        (
            lambda it: remove_entity_headers(it, ("Content-Type",)),
            lambda it: oracle.remove_entity_headers(it, ("content-type",)),
        ),
    ):
        headers, oracle_headers, plain = Headers(pairs), oracle_structures.Headers(pairs), list(pairs)
        ours(headers)
        ours(plain)
        theirs(oracle_headers)
        assert list(headers) == plain == list(oracle_headers)
