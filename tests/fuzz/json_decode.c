/* Strict JSON into every input type: what is accepted is written and read back the same. First byte: the type; second: the mode. */
#include <glib.h>
#include <stdint.h>

#include "contract/contract.h"
#include "model/deployment.h"
#include "model/domain.h"
#include "model/environment.h"
#include "model/project.h"
#include "model/request.h"
#include "model/service.h"
#include "model/settings.h"
#include "model/spec.h"
#include "model/token.h"
#include "model/variable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct type *const types[] = {
    &spec_type,   &deployment_value_type, &service_type, &project_type,  &environment_type,
    &domain_type, &settings_type,         &token_type,   &variable_type, &deploy_request_type,
};

static void check_round_trip(const struct type *type, const void *object)
{
    void *again = contract_new(type);
    g_autoptr(GError) error = NULL;
    g_autofree char *text = contract_encode_text(type, object, ENCODE_STORED);
    if (!contract_decode_text(type, again, text, strlen(text), DECODE_STORED, &error)) {
        g_printerr("%s cannot be read back: %s: %s\n", type->name, error->message, text);
        abort();
    }
    g_autofree char *second = contract_encode_text(type, again, ENCODE_STORED);
    if (strcmp(text, second) != 0) {
        g_printerr("%s changed: %s -> %s\n", type->name, text, second);
        abort();
    }
    contract_free(type, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum decode_mode modes[] = {DECODE_CREATE, DECODE_PATCH, DECODE_TEXT, DECODE_STORED};
    if (size < 2) {
        return 0;
    }
    const struct type *type = types[data[0] % G_N_ELEMENTS(types)];
    void *object = contract_new(type);
    g_autoptr(GError) error = NULL;
    bool ok = contract_decode_text(type, object, (const char *)data + 2, size - 2, modes[data[1] % 4], &error);
    if (ok != (error == NULL)) {
        g_printerr("success and error contradict each other\n");
        abort();
    }
    if (ok) {
        check_round_trip(type, object);
    }
    contract_free(type, object);
    return 0;
}
