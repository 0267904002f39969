"""The space-separated lists, for any command line and not only for ours."""

from __future__ import annotations

import click
from hypothesis import given
from hypothesis import strategies as st

from pds_bids.cli.lists import BidsAppCommand, SpaceSeparated, repeat_names

LISTS = ("--label", "--space")

words = st.from_regex(r"[A-Za-z0-9/.][A-Za-z0-9/._-]{0,5}", fullmatch=True)
lists = st.tuples(st.sampled_from(LISTS), st.lists(words, min_size=1, max_size=4))


@click.command(cls=BidsAppCommand)
@click.argument("place", nargs=2)
@click.option("--label", cls=SpaceSeparated)
@click.option("--space", cls=SpaceSeparated)
@click.option("--seed", type=int)
@click.option("--quiet", is_flag=True)
def command(**values):
    return values


def parse(args: list[str]) -> dict:
    return command.main(args, standalone_mode=False)


def once(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


@given(
    st.lists(lists, max_size=4), st.integers(-9, 9), st.booleans(), st.booleans(), st.booleans(), words, words
)
def test_any_mixture_is_parsed_as_meant(chunks, seed, quiet, lists_first, equals_sign, first, second):
    options = ["--seed", str(seed), *(["--quiet"] if quiet else [])]
    for name, values in chunks:
        options += [f"{name}={values[0]}", *values[1:]] if equals_sign else [name, *values]
    args = [*options, "--", first, second] if lists_first else [first, second, *options]

    parsed = parse(args)

    assert parsed["place"] == (first, second)
    assert parsed["seed"] == seed
    assert parsed["quiet"] is quiet
    for name in LISTS:
        assert parsed[name[2:]] == once([v for chunk, values in chunks if chunk == name for v in values])


@given(st.lists(words), st.lists(st.text(max_size=4)))
def test_command_lines_without_lists_stay_as_they_are(before, after):
    args = [*before, "--quiet", "--", *after]

    assert repeat_names(args, set(LISTS)) == args


@given(st.lists(lists, min_size=1, max_size=4))
def test_a_line_click_understands_already_stays_as_it_is(chunks):
    args = [token for name, values in chunks for value in values for token in (name, value)]

    assert repeat_names(args, set(LISTS)) == args


def test_a_lone_dash_and_a_negative_number_are_values():
    assert parse(["a", "b", "--label", "-", "-3", "-.5"])["label"] == ("-", "-3", "-.5")
