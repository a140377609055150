/* Projects, services and their names. */
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "enclii/target.h"

static GPtrArray *services_named(const char *names)
{
    GPtrArray *services = contract_array_new(&service_type);
    g_auto(GStrv) list = g_strsplit(names, " ", -1);
    for (char **name = list; *name != NULL && **name != '\0'; name++) {
        struct service *service = contract_new(&service_type);
        g_free(service->name);
        service->name = g_strdup(*name);
        service->id = g_strdup_printf("id-of-%s", *name);
        g_ptr_array_add(services, service);
    }
    return services;
}

static void service_is_found_or_the_others_are_named(void)
{
    static const struct {
        const char *services, *asked, *found, *message, *hint;
    } cases[] = {
        {"web", NULL, "web", NULL, NULL},
        {"web api", "api", "api", NULL, NULL},
        {"web api", "id-of-api", "api", NULL, NULL},
        {"web api", NULL, NULL, "which service? Project shop has: web, api", "Name one, for example web"},
        {"web api", "wbe", NULL, "no service `wbe` in project shop; there are: web, api", "Did you mean web?"},
        {"web api", "qqqqqqqq", NULL, "no service `qqqqqqqq` in project shop; there are: web, api",
         "enclii services list --project shop"},
        {"", "web", NULL, "project shop has no services yet", "enclii up"},
        {"", NULL, NULL, "project shop has no services yet", "enclii up"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) services = services_named(cases[i].services);
        g_autoptr(GError) error = NULL;
        const struct service *found = target_pick(services, "shop", cases[i].asked, &error);
        g_assert_cmpstr(found != NULL ? found->name : NULL, ==, cases[i].found);
        g_assert_cmpstr(error != NULL ? error->message : NULL, ==, cases[i].message);
        g_assert_cmpstr(error != NULL ? sy_error_hint(error) : NULL, ==, cases[i].hint);
    }
}

struct place {
    char *folder, *before;
    struct cli cli;
};

static void set_up(struct place *place, gconstpointer data)
{
    place->folder = g_dir_make_tmp("target-XXXXXX", NULL);
    place->before = g_get_current_dir();
    g_autofree char *deep = g_build_filename(place->folder, "a", "b", NULL);
    g_assert_true(folder_ensure(deep, 0700, NULL));
    g_assert_cmpint(chdir(deep), ==, 0);
    g_unsetenv("ENCLII_PROJECT");
    cli_init(&place->cli);
    place->cli.command = commands[0];
}

static void tear_down(struct place *place, gconstpointer data)
{
    cli_clear(&place->cli);
    g_assert_cmpint(chdir(place->before), ==, 0);
    g_assert_true(folder_remove(place->folder, NULL));
    g_free(place->folder);
    g_free(place->before);
}

static void write_spec(const struct place *place, const char *text)
{
    g_autofree char *path = g_build_filename(place->folder, "enclii.yaml", NULL);
    g_assert_true(file_replace(path, text, strlen(text), 0600, NULL));
}

static void project_comes_from_the_file_above(struct place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    write_spec(place, "# comment\nproject: shop\nservices: {web: {cron: later}}\n");
    g_assert_cmpstr(target_project(&place->cli, &error), ==, "shop");
    g_assert_no_error(error);
}

static void environment_beats_the_file(struct place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    write_spec(place, "project: shop\n");
    g_setenv("ENCLII_PROJECT", "other", TRUE);
    g_assert_cmpstr(target_project(&place->cli, &error), ==, "other");
    g_unsetenv("ENCLII_PROJECT");
}

static void without_a_name_it_says_how_to_give_one(struct place *place, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(target_project_or_none(&place->cli, &error));
    g_assert_no_error(error);
    g_assert_null(target_project(&place->cli, &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
    g_assert_nonnull(strstr(sy_error_hint(error), "--project"));
}

static void file_without_a_project_is_an_error(struct place *place, gconstpointer data)
{
    static const char *const texts[] = {
        "",           "[]", "services: {}\n", "project: [a]\n", "project: {a: b}\n", "\t\n", "project: \"../x\"\n",
        "a: &a [*a\n"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        write_spec(place, texts[i]);
        g_clear_pointer(&place->cli.project, g_free);
        g_clear_pointer(&place->cli.project_source, g_free);
        g_assert_null(target_project(&place->cli, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_nonnull(strstr(error->message, "enclii.yaml"));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/enclii/target/service_is_found_or_the_others_are_named",
                    service_is_found_or_the_others_are_named);
#define TEST(name) g_test_add("/enclii/target/" #name, struct place, NULL, set_up, name, tear_down)
    TEST(project_comes_from_the_file_above);
    TEST(environment_beats_the_file);
    TEST(without_a_name_it_says_how_to_give_one);
    TEST(file_without_a_project_is_an_error);
    return g_test_run();
}
