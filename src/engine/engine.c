#include "engine/engine.h"

#include "base/id.h"

char *engine_image_prefix(const char *installation)
{
    return g_strdup_printf("enclii/%s/", uuid_tail(installation));
}

void engine_instance_free(struct engine_instance *instance)
{
    if (instance == NULL) {
        return;
    }
    g_free(instance->id);
    g_free(instance->name);
    g_free(instance->start_error);
    g_free(instance->image_id);
    g_free(instance->address);
    g_free(instance->installation);
    g_free(instance->pair);
    g_free(instance->deployment);
    g_free(instance->instance);
    g_free(instance->role);
    g_free(instance);
}

void engine_image_free(struct engine_image *image)
{
    if (image == NULL) {
        return;
    }
    g_free(image->id);
    g_strfreev(image->tags);
    g_strfreev(image->command);
    g_strfreev(image->entrypoint);
    g_free(image->user);
    g_clear_pointer(&image->labels, g_ptr_array_unref);
    g_free(image);
}

void engine_info_clear(struct engine_info *info)
{
    g_free(info->name);
    g_free(info->version);
    g_free(info->api_version);
    g_free(info->root);
    g_free(info->runc);
    *info = (struct engine_info){0};
}
