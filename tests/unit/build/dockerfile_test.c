/* Dockerfiles: frontends that may run, images that are needed. */
#include <string.h>

#include "base/error.h"
#include "build/detect.h"

static void frontends_of_docker_itself_are_taken(void)
{
    static const char *const texts[] = {
        "",
        "FROM scratch\n",
        "# syntax=docker/dockerfile:1\nFROM x\n",
        "# syntax=docker/dockerfile:1.4\n",
        "#syntax = docker/dockerfile:1.4.3\n",
        "# SYNTAX=docker.io/docker/dockerfile:1-labs\n",
        "# syntax=docker/dockerfile:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n",
        "FROM x\n# syntax=evil/frontend\n",
        "# a comment about syntax\nFROM x\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        bool ok = dockerfile_check(texts[i], strlen(texts[i]), false, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
    }
}

static void other_frontends_are_refused(void)
{
    static const char *const texts[] = {
        "# syntax=evil/frontend\nFROM x\n",
        "#syntax=evil/frontend",
        "# Syntax = evil/frontend\r\n",
        "\xEF\xBB\xBF# syntax=evil/frontend\n",
        "# escape=`\n# syntax=evil/frontend\n",
        "# about\n# syntax=evil/frontend\n",
        "\n\n  # syntax=evil/frontend\n",
        "// syntax=evil/frontend\n",
        "# syntax=docker/dockerfile:1\n# syntax=evil/frontend\n",
        "# syntax=docker/dockerfile:1.4-evil\n",
        "# syntax=docker/dockerfile:2\n",
        "# syntax=docker/dockerfile\n",
        "# syntax=docker/dockerfile-upstream:master\n",
        "# syntax=evil.example/docker/dockerfile:1\n",
        "# syntax=docker/dockerfile:1 evil\n",
        "# syntax=\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_test_message("%zu: %s", i, texts[i]);
        g_assert_false(dockerfile_check(texts[i], strlen(texts[i]), false, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_true(dockerfile_check(texts[i], strlen(texts[i]), true, NULL));
    }
    g_assert_false(dockerfile_check("FROM x\0y", 8, true, NULL));
    g_assert_false(dockerfile_check("FROM \xFF", 6, true, NULL));
}

static void bases_are_what_from_names(void)
{
    static const struct {
        const char *text;
        const char *bases; /* joined by a blank */
    } cases[] = {
        {"", ""},
        {"FROM scratch\n", ""},
        {"FROM debian:bookworm-slim", "debian:bookworm-slim"},
        {"from a as B\nFROM --platform=$BUILDPLATFORM c AS d\nFROM b\nFROM D\nFROM a\nCOPY --from=x a b\n", "a c"},
        {"# FROM no\nFROM \\\n# comment\n  --platform=linux/amd64 \\\n  x \\\n AS y\n", "x"},
        {"# escape=`\nFROM `\n x\nRUN echo \\\nFROM y\n", "x y"},
        {"RUN echo a \\\nFROM b\nFROM c\n", "c"},
        {"ARG V=12\nARG BASE=debian:$V\nFROM ${BASE}\n", "debian:12"},
        {"ARG BASE=\"a b\" C='x'\nFROM $C\n", "x"},
        {"FROM ${X:-y:1}\nFROM ${X:+z}w\n", "y:1 w"},
        {"ARG X\nFROM $X\nFROM b$UNKNOWN\nFROM ${X\nFROM $\n", ""},
        {"FROM a\nARG Y=z\nFROM $Y\n", "a"},
        {"FROM a\nRUN <<EOF\nFROM no\nEOF\nCOPY <<-\"X\" /x\nFROM no\n\tX\nFROM b\n", "a b"},
        {"FROM a\nRUN cat <<EOF\nFROM unended", "a"},
        {"FROM\nFROM --platform=x\nFROMAGE x\n", ""},
        {"FROM a\r\nFROM b\r\n", "a b"},
        {"\xEF\xBB\xBF"
         "FROM a\n",
         "a"},
        {"FROM example.com:5000/a/b:c@sha256:0 AS s\n", "example.com:5000/a/b:c@sha256:0"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) bases = dockerfile_bases(cases[i].text, strlen(cases[i].text));
        g_autofree char *joined = g_strjoinv(" ", bases);
        g_test_message("case %zu", i);
        g_assert_cmpstr(joined, ==, cases[i].bases);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dockerfile/frontends_of_docker_itself_are_taken", frontends_of_docker_itself_are_taken);
    g_test_add_func("/dockerfile/other_frontends_are_refused", other_frontends_are_refused);
    g_test_add_func("/dockerfile/bases_are_what_from_names", bases_are_what_from_names);
    return g_test_run();
}
