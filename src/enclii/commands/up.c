#include "enclii/commands.h"
#include "enclii/rollout.h"

static bool run(struct cli *cli, GError **error)
{
    return rollout_run(cli, NULL, error);
}

static const struct flag flags[] = {
    {.name = "dry-run", .doc = "only say what enclii.yaml would change"},
    {.name = "rebuild", .doc = "build even what has not changed: pull images again, use no cached layer"},
    {NULL},
};

const struct command up_command = {
    .name = "up",
    .arguments = "[SERVICE…]",
    .summary = "Build this folder and run it in the environment of the git branch",
    .details =
        "Reads enclii.yaml, packs the folder (what .gitignore and .encliiignore name stays here), sends it if the "
        "server\n"
        "lacks it, builds and deploys every service, or only those that are named, and waits until they are healthy.\n"
        "When nothing has changed, nothing is built or deployed; --rebuild builds all the same, and takes what is "
        "newer in\n"
        "base images or behind the tag of an image by then.\n"
        "\n"
        "The environment is the git branch's name; on the default branch and outside git it is `preview`. -e names "
        "another.\n"
        "\n"
        "On a terminal the last line is the address; in a pipe the addresses are the output:\n"
        "\n"
        "    curl \"$(enclii up -q)\"\n"
        "\n"
        "Exit codes: 0 it runs, 10 something in the files is wrong, 20 a build failed, 30 a deployment failed (what "
        "ran before\n"
        "still serves), 40 it took longer than --timeout. Ctrl-C ends the watching with 1; what was begun goes on.",
    .flags = flags,
    .max_arguments = 100,
    .run = run,
};
