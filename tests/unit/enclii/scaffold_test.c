/* The first enclii.yaml: what is found, what it is called, and that the text is one we take ourselves. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/id.h"
#include "enclii/scaffold.h"
#include "enclii/spec_file.h"
#include "scratch.h"

/* "name=context(builder) " for each. */
static char *summary(const GPtrArray *services)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < services->len; i++) {
        const struct scaffold_service *service = g_ptr_array_index(services, i);
        g_string_append_printf(out, "%s=%s(%s) ", service->name, service->context, service->builder);
    }
    return g_string_free(out, FALSE);
}

static struct spec_file *parse(const char *text)
{
    g_autoptr(GError) error = NULL;
    struct spec_file *file = spec_file_parse(text, strlen(text), "enclii.yaml", &error);
    g_assert_no_error(error);
    return file;
}

static void folder_itself_is_one_service_with_the_exposed_port(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GError) error = NULL;
    scratch_write(folder, "Dockerfile", "FROM scratch\nEXPOSE 9000\n");
    scratch_write(folder, "sub/index.html", "");
    g_autoptr(GPtrArray) services = scaffold_look(folder, &error);
    g_assert_no_error(error);
    g_autofree char *found = summary(services);
    g_assert_cmpstr(found, ==, "web=.(dockerfile) ");
    g_autofree char *text = scaffold_text("shop", services);
    g_autoptr(spec_file_t) file = parse(text);
    const struct service_spec *web = struct_map_get(file->spec->services, "web");
    g_assert_cmpint(web->settings.port, ==, 9000);
    g_assert_cmpstr(web->build.context, ==, ".");
}

static void folders_of_a_monorepo_are_services(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GError) error = NULL;
    scratch_write(folder, "README.md", "x");
    scratch_write(folder, "apps/API Server/go.mod", "module x\n\ngo 1.19\n");
    scratch_write(folder, "apps/API Server/main.go", "package main\n");
    scratch_write(folder, "apps/web/index.html", "");
    scratch_write(folder, "site/index.html", "");
    scratch_write(folder, "web/index.html", "");
    scratch_write(folder, "docs/notes.txt", "");
    scratch_write(folder, "node_modules/x/index.html", "");
    scratch_write(folder, ".hidden/index.html", "");
    g_autoptr(GPtrArray) services = scaffold_look(folder, &error);
    g_assert_no_error(error);
    g_autofree char *found = summary(services);
    g_assert_cmpstr(found, ==,
                    "site=./site(static) web=./web(static) api-server=./apps/API Server(go) "
                    "web-2=./apps/web(static) ");
    g_autofree char *text = scaffold_text("shop", services);
    g_autoptr(spec_file_t) file = parse(text);
    const struct service_spec *api = struct_map_get(file->spec->services, "api-server");
    g_assert_cmpstr(api->build.context, ==, "./apps/API Server");
}

static void link_to_elsewhere_is_not_looked_into(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(scratch_t) elsewhere = scratch_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(folder, "away", NULL);
    scratch_write(elsewhere, "index.html", "");
    g_assert_cmpint(symlink(elsewhere, path), ==, 0);
    g_assert_null(scaffold_look(folder, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_DETECTED);
}

static void empty_folder_says_what_was_looked_for(void)
{
    g_autoptr(scratch_t) folder = scratch_new();
    g_autoptr(GError) error = NULL;
    g_assert_null(scaffold_look(folder, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_DETECTED);
    g_assert_nonnull(strstr(error->message, "package.json"));
}

static void slug_is_always_a_projects_name(void)
{
    static const char *const cases[][2] = {
        {"my-node", "my-node"}, {"My App_2", "my-app-2"}, {"x", "x-app"},    {"", "my-app"},
        {"123", "my-app"},      {"7seas", "seas"},        {"---", "my-app"}, {"a--b", "a-b"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *slug = scaffold_slug(cases[i][0]);
        g_assert_cmpstr(slug, ==, cases[i][1]);
    }
    g_autofree char *long_name = g_strnfill(200, 'y');
    g_autofree char *slug = scaffold_slug(long_name);
    g_assert_cmpuint(strlen(slug), ==, 50);
    g_assert_true(dns_label_is_valid(slug));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scaffold/folder_itself_is_one_service_with_the_exposed_port",
                    folder_itself_is_one_service_with_the_exposed_port);
    g_test_add_func("/scaffold/folders_of_a_monorepo_are_services", folders_of_a_monorepo_are_services);
    g_test_add_func("/scaffold/link_to_elsewhere_is_not_looked_into", link_to_elsewhere_is_not_looked_into);
    g_test_add_func("/scaffold/empty_folder_says_what_was_looked_for", empty_folder_says_what_was_looked_for);
    g_test_add_func("/scaffold/slug_is_always_a_projects_name", slug_is_always_a_projects_name);
    return g_test_run();
}
