/* Every reply of the engine, whatever it holds: the first byte says as what it is read. */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "engine/docker/parse.h"
#include "engine/docker/tar.h"

static void read_lists(const char *text, size_t length)
{
    g_autoptr(GPtrArray) instances = NULL;
    g_autoptr(GPtrArray) tags = NULL;
    g_autoptr(GPtrArray) names = NULL;
    g_autoptr(GPtrArray) subnets = NULL;
    g_autoptr(GPtrArray) volumes = NULL;
    if (parse_instances(text, length, "me", &instances, NULL)) {
        for (guint i = 0; i < instances->len; i++) {
            const struct engine_instance *instance = g_ptr_array_index(instances, i);
            g_assert(strcmp(instance->installation, "me") == 0);
        }
    }
    parse_image_tags(text, length, "me", "enclii/me/", &tags, NULL);
    parse_networks(text, length, "me", &names, &subnets, NULL);
    parse_volumes(text, length, "me", &volumes, NULL);
}

static void read_objects(const char *text, size_t length)
{
    struct engine_instance *instance = NULL;
    struct engine_image *image = NULL;
    g_auto(parse_object_t) object = {0};
    g_auto(parse_event_t) event = {0};
    if (parse_instance(text, length, &instance, NULL)) {
        g_assert(instance->id != NULL && instance->role != NULL && instance->address != NULL);
    }
    if (parse_image(text, length, &image, NULL)) {
        g_assert(image->exposed_port >= 0 && image->exposed_port <= 65535);
    }
    parse_object(text, length, &object, NULL);
    parse_event(text, length, &event, NULL);
    engine_instance_free(instance);
    engine_image_free(image);
}

static void read_engine(const char *text, size_t length)
{
    struct parse_version version = {0};
    struct engine_info info = {0};
    parse_version(text, length, &version, NULL);
    parse_info(text, length, &info, NULL);
    parse_version_clear(&version);
    engine_info_clear(&info);
}

static void read_small(const char *text, size_t length)
{
    g_autofree char *id = NULL;
    int code = 0;
    int64_t user = 0;
    unsigned mode = 0;
    parse_id(text, length, &id, NULL);
    parse_exit_code(text, length, &code, NULL);
    g_autofree char *words = parse_words(text, length);
    g_autofree char *failure = parse_progress_failure(text, length);
    g_assert(g_utf8_validate(words, -1, NULL));
    g_assert(strchr(words, '\n') == NULL);
    g_assert(!tar_first_owner(text, length, &user, &mode) || user >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *, size_t) = {read_lists, read_objects, read_engine, read_small};
    if (size >= 1) {
        readers[data[0] % G_N_ELEMENTS(readers)]((const char *)data + 1, size - 1);
    }
    return 0;
}
