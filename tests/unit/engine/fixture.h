/* A real engine and an installation of one's own in it: every test has a fresh one, and everything that it made is gone
 * afterwards. ENCLII_TEST_ENGINE names the engine, GUEST the program that is the test image. */
#pragma once

#include "engine/engine.h"

struct fixture {
    char *endpoint;
    struct engine *engine;
    bool is_podman;
    char *installation;
    char *prefix; /* of names */
    char *image;  /* imported for this test, named as ours; it has no label */
    char *image_id;
    char *network;
    char *subnet;
    GPtrArray *containers; /* ids */
    GPtrArray *volumes;
};

char *fixture_repository(const struct fixture *fixture); /* of `image` */

/* False (and the test is skipped) when there is no engine. */
bool fixture_begin(struct fixture *fixture);
void fixture_end(struct fixture *fixture);

/* A hardened one-off container with the guest and these arguments; not started. The id is owned by the fixture. */
struct engine_instance_spec fixture_spec(const struct fixture *fixture, const char *name, const char *const *command);
const char *fixture_create(struct fixture *fixture, const struct engine_instance_spec *spec);
const char *fixture_start(struct fixture *fixture, const char *name, const char *const *command);
int fixture_wait(struct fixture *fixture, const char *id);
/* Creates, starts, waits; all that it printed. */
char *fixture_run(struct fixture *fixture, const struct engine_instance_spec *spec);
/* All lines so far: "out|text\n" and "err|text\n". */
char *fixture_log(struct fixture *fixture, const char *id);
void fixture_await_log(struct fixture *fixture, const char *id, const char *text);

/* The engine asked beside engine.h's back: the reply's body; fails the test unless it has this status. */
char *fixture_ask(const struct fixture *fixture, const char *method, const char *target, const char *body, int status);
