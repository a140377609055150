"""Images from a registry that is reachable: bases of a build, and services that name an image instead of a source."""

import pytest
from harness.app import App, answer_binary
from harness.registry import Registry

pytestmark = pytest.mark.engine

DOCKERFILE = "FROM {base}\nCOPY version /version\n"


@pytest.fixture(scope="module")
def one_registry(engine, tmp_path_factory):
    """Made before the daemon, so that it goes after the daemon's containers: then the engine gives the images back."""
    if Registry.why_not():
        pytest.skip(Registry.why_not())
    with Registry(tmp_path_factory.mktemp("registry"), engine) as registry:
        yield registry


@pytest.fixture
def registry(one_registry):
    yield one_registry
    if one_registry.process is None:
        one_registry.start()


@pytest.fixture
def app(one_registry, engine_daemon, engine_cli, tmp_path, run):
    return App(engine_daemon, engine_cli, tmp_path / "app", run)


def build_log(app):
    return app.cli("logs", "--build", "web").expect(0).stdout


def test_base_is_pulled_once_and_used(app, registry, run):
    base = registry.push(f"{run}/base:1", answer=answer_binary())
    (app.folder / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    assert not registry.engine_has(base)
    app.cli("up").expect(0)
    assert app.version("preview") == "one"
    log = build_log(app)
    assert f"pulling {base}" in log and "Digest: sha256:" in log, log
    registry.stop()  # what the engine has needs no registry
    app.set_version("two")
    app.cli("up").expect(0)
    assert app.version("preview") == "two"
    assert "pulling" not in build_log(app)


def test_base_that_cannot_be_had_is_told(app, registry, run):
    missing = registry.name(f"{run}/missing:1")
    (app.folder / "Dockerfile").write_text(DOCKERFILE.format(base=missing))
    done = app.cli("up").expect(20)
    assert f"base image {missing} cannot be pulled" in done.stderr and "Is the name right?" in done.stderr, done.stderr
    registry.stop()
    done = app.cli("up").expect(20)
    assert f"{missing} is not in the engine, no image registry is reachable" in done.stderr, done.stderr
    assert "docker load" in done.stderr
    registry.start()
    base = registry.push(f"{run}/missing:1", answer=answer_binary())
    app.cli("up").expect(0)  # a failure is not kept as the release of these files
    assert app.version("preview") == "one" and registry.engine_has(base)


def test_service_runs_an_image_of_the_registry(app, registry, run):
    image = registry.push(f"{run}/app:1", answer=answer_binary(), version="registry\n")
    app.spec(web={"build": None, "image": image})
    app.cli("up").expect(0)
    assert app.text("/", "preview").split()[1] == "registry"
    assert app.releases()[0]["builder"] == "image"
    app.spec(web={"build": None, "image": registry.name(f"{run}/app:2")})
    done = app.cli("up").expect(20)
    assert f"{run}/app:2 is not in the engine and cannot be pulled" in done.stderr, done.stderr
    assert app.text("/", "preview").split()[1] == "registry", "what ran before no longer serves"


def test_rebuild_takes_what_is_newer_behind_the_same_name(app, registry, run):
    base = registry.push(f"{run}/base:1", answer=answer_binary(), version="old\n")
    (app.folder / "Dockerfile").write_text(f"FROM {base}\n")
    app.cli("up").expect(0)
    registry.push(f"{run}/base:1", answer=answer_binary(), version="new\n", other="a layer of its own")
    registry.make(base)  # an engine that has something under that name
    assert "Nothing has changed" in app.cli("up").expect(0).stderr and app.version("preview") == "old"
    app.cli("up", "--rebuild").expect(0)
    assert app.version("preview") == "new"
    assert f"pulling {base}" in build_log(app)
    assert "Nothing has changed" in app.cli("up").expect(0).stderr, "the rebuilt release is not the newest of these files"
    assert app.version("preview") == "new" and len(app.releases()) == 2
    registry.stop()
    app.cli("up", "--rebuild").expect(0)
    assert app.version("preview") == "new" and f"using {base} as the engine has it" in build_log(app)


def test_rebuild_takes_what_is_newer_behind_the_tag_of_an_image(app, registry, run):
    image = registry.push(f"{run}/app:latest", answer=answer_binary(), version="old\n")
    app.spec(web={"build": None, "image": image})
    app.cli("up").expect(0)
    registry.push(f"{run}/app:latest", answer=answer_binary(), version="new\n")
    registry.make(image)
    app.cli("up", "--rebuild").expect(0)
    assert app.version("preview") == "new"
    registry.stop()
    app.cli("up", "--rebuild").expect(0)
    assert app.version("preview") == "new" and f"using {image} as the engine has it" in build_log(app)
