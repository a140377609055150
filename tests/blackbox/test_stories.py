"""Runs every story of stories/*.yaml, on each store."""

from pathlib import Path

import pytest
from harness import stories

HERE = Path(__file__).resolve().parent
ALL = list(stories.load(HERE / "stories"))


def of(need):
    return [pytest.param(story, id=name) for name, story in ALL if story["needs"] == need]


@pytest.mark.api
@pytest.mark.parametrize("story", of("api"))
def test_story(story, daemon, cli, tmp_path):
    stories.Runner(daemon, cli, tmp_path).run(story)


@pytest.mark.engine
@pytest.mark.parametrize("story", of("engine"))
def test_engine_story(story, engine_daemon, engine_cli, tmp_path):
    stories.Runner(engine_daemon, engine_cli, tmp_path).run(story)
