/* Images that come back after an engine has lost thousands; on both databases, with an engine that only lists tags. */
#include "switchyard/operations/lost_images.h"

#include "fixture.h"
#include "store/resources.h"

#define N_LOST 2500

static GPtrArray *tags; /* what the engine has */
static int n_lists;

static bool list_tags(struct engine *engine, const char *prefix, GPtrArray **ret_tags, GError **error)
{
    n_lists++;
    *ret_tags = g_ptr_array_ref(tags);
    return true;
}

static bool inspect(struct engine *engine, const char *reference, struct engine_image **ret_image, GError **error)
{
    *ret_image = g_new0(struct engine_image, 1);
    return true;
}

static const struct engine_ops ops = {.image_list = list_tags, .image_inspect = inspect};

static struct store *open_with_lost(const struct fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    const struct store_options options = {.allow_volatile = true};
    struct store *store = store_open(fixture->url, &options, &error);
    g_assert_no_error(error);
    g_assert_true(store_migrate(store, -1, true, &error));
    g_autofree char *text = g_strdup_printf(
        "INSERT INTO organizations (id, name, slug, created_at) VALUES ('o', 'o', 'o', 0);\n"
        "INSERT INTO projects (id, organization_id, name, slug, created_at) VALUES ('p', 'o', 'p', 'p', 0);\n"
        "INSERT INTO services (id, organization_id, project_id, name, port, public, replicas, created_at, updated_at, "
        "revision) VALUES ('s', 'o', 'p', 's', 80, 1, 1, 0, 0, 1);\n"
        "INSERT INTO releases (id, organization_id, project_id, service_id, number, status, image_uri, created_at, "
        "attempts, cancel_requested, revision, image_lost_at)\n"
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)\n"
        "SELECT 'r' || (10000 + i), 'o', 'p', 's', i, 'ready', 'image:v' || i, 0, 0, 0, 1, 1 FROM n;\n",
        N_LOST);
    fixture_execute(fixture, text);
    return store;
}

static void check_lost(const struct fixture *fixture, const char *expected)
{
    g_autofree char *n = fixture_get(fixture, "SELECT count(*) FROM releases WHERE image_lost_at IS NOT NULL");
    g_assert_cmpstr(n, ==, expected);
}

static void all_are_looked_at_page_by_page(struct fixture *fixture)
{
    struct engine engine = {.ops = &ops};
    struct app app = {.engine = &engine,
                      .organization_id = (char *)"o",
                      .installation_id = (char *)"0198f1e0-0000-7000-8000-000000000001"};
    g_autoptr(GError) error = NULL;
    g_autofree char *cursor = NULL;
    static const char *const left[] = {"2499", "2499", "2498"};
    app.store = open_with_lost(fixture);
    tags = g_ptr_array_new();
    g_ptr_array_add(tags, (char *)"image:v1");
    g_ptr_array_add(tags, (char *)"image:v2500");
    g_ptr_array_add(tags, (char *)"image:other");
    n_lists = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
        g_assert_true(lost_images_look(&app, &cursor, &error));
        g_assert_no_error(error);
        check_lost(fixture, left[i]);
        g_assert_cmpint(cursor != NULL, ==, i < 2);
    }
    g_assert_cmpint(n_lists, ==, 3);
    g_ptr_array_unref(tags);
    store_close(app.store);
}

static void the_engine_is_not_asked_when_nothing_is_lost(struct fixture *fixture)
{
    struct engine engine = {.ops = &ops};
    struct app app = {.engine = &engine, .installation_id = (char *)"0198f1e0-0000-7000-8000-000000000001"};
    g_autoptr(GError) error = NULL;
    g_autofree char *cursor = NULL;
    app.store = open_with_lost(fixture);
    fixture_execute(fixture, "UPDATE releases SET image_lost_at = NULL");
    n_lists = 0;
    g_assert_true(lost_images_look(&app, &cursor, &error));
    g_assert_null(cursor);
    g_assert_cmpint(n_lists, ==, 0);
    store_close(app.store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fixture_add_unopened("/lost_images/all_are_looked_at_page_by_page", all_are_looked_at_page_by_page);
    fixture_add_unopened("/lost_images/the_engine_is_not_asked_when_nothing_is_lost",
                         the_engine_is_not_asked_when_nothing_is_lost);
    return g_test_run();
}
