#include "enclii/commands.h"
#include "enclii/output.h"
#include "model/settings.h"
#include "model/spec.h"

#define PREFIX "#/$defs/"

static json_t *schema_of(const struct type *type, enum schema_use use, GHashTable *used)
{
    g_autoptr(GString) text = g_string_new(NULL);
    struct json_writer writer;
    json_writer_init(&writer, text);
    contract_schema(type, use, PREFIX, used, &writer);
    return json_loadb(text->str, text->len, 0, NULL);
}

/* environment → service → settings that differ; written by hand in model/spec.c, hence here too. */
static json_t *environments_schema(GHashTable *used)
{
    json_t *settings = schema_of(&settings_type, SCHEMA_PATCH, used);
    json_object_del(settings, "required");
    return json_pack("{s:s, s:s, s:{s:s, s:o}}", "type", "object", "description",
                     "per environment and service: settings that differ there", "additionalProperties", "type",
                     "object", "additionalProperties", settings);
}

/* The types that are referenced, and those that they reference. */
static json_t *definitions(GHashTable *used)
{
    json_t *definitions = json_object();
    bool is_complete = false;
    while (!is_complete) {
        g_autoptr(GList) types = g_hash_table_get_keys(used);
        is_complete = true;
        for (const GList *item = types; item != NULL; item = item->next) {
            const struct type *type = item->data;
            g_autofree char *name = g_strconcat(type->name, contract_schema_suffix(SCHEMA_CREATE), NULL);
            if (json_object_get(definitions, name) == NULL) {
                json_object_set_new(definitions, name, schema_of(type, SCHEMA_CREATE, used));
                is_complete = false;
            }
        }
    }
    return definitions;
}

static json_t *spec_schema(void)
{
    g_autoptr(GHashTable) used = g_hash_table_new(NULL, NULL);
    json_t *spec = schema_of(&spec_type, SCHEMA_CREATE, used);
    json_t *schema =
        json_pack("{s:s, s:s}", "$schema", "https://json-schema.org/draft/2020-12/schema", "title", "enclii.yaml");
    json_object_set_new(json_object_get(spec, "properties"), "environments", environments_schema(used));
    json_object_update(schema, spec);
    json_object_set_new(schema, "$defs", definitions(used));
    json_decref(spec);
    return schema;
}

static bool run(struct cli *cli, GError **error)
{
    json_t *schema = spec_schema();
    bool ok = output_json(cli, schema, error);
    json_decref(schema);
    return ok;
}

const struct command schema_command = {
    .name = "schema",
    .summary = "Print the JSON Schema of enclii.yaml, for editors",
    .details = "    enclii schema > enclii.schema.json\n"
               "    # first line of enclii.yaml:  # yaml-language-server: $schema=enclii.schema.json",
    .run = run,
};
