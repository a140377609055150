/* Where the server is: the file of contexts, the environment, the default. */
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "enclii/context.h"

struct home {
    char *folder;
    char *path;
};

static void set_up(struct home *home, gconstpointer data)
{
    home->folder = g_dir_make_tmp("context-XXXXXX", NULL);
    g_assert_nonnull(home->folder);
    g_setenv("XDG_CONFIG_HOME", home->folder, TRUE);
    g_unsetenv("ENCLII_API_ENDPOINT");
    g_unsetenv("ENCLII_API_TOKEN");
    home->path = contexts_default_path();
}

static void tear_down(struct home *home, gconstpointer data)
{
    g_assert_true(folder_remove(home->folder, NULL));
    g_free(home->folder);
    g_free(home->path);
}

static void write_text(const struct home *home, const char *text)
{
    g_autofree char *folder = g_path_get_dirname(home->path);
    g_autoptr(GError) error = NULL;
    g_assert_true(folder_ensure(folder, 0700, &error));
    g_assert_true(file_replace(home->path, text, strlen(text), 0600, &error));
}

static void keep_two(const struct home *home)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(contexts_t) contexts = contexts_read(home->path, &error);
    g_autoptr(sy_secret) token = secret_new("enclii_tok\"en", 13);
    g_assert_no_error(error);
    g_assert_cmpuint(contexts->entries->len, ==, 0);
    contexts_put(contexts, "prod", "https://e.example", token);
    contexts_put(contexts, "dev", "http://127.0.0.1:1", NULL);
    contexts->current = g_strdup("prod");
    g_assert_true(contexts_write(contexts, &error));
    g_assert_no_error(error);
}

static void file_is_for_its_owner_only(struct home *home, gconstpointer data)
{
    keep_two(home);
    struct stat facts;
    g_assert_cmpint(stat(home->path, &facts), ==, 0);
    g_assert_cmpint(facts.st_mode & 07777, ==, 0600);
}

static void what_is_kept_comes_back(struct home *home, gconstpointer data)
{
    keep_two(home);
    g_autoptr(GError) error = NULL;
    g_autoptr(contexts_t) contexts = contexts_read(home->path, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(contexts->current, ==, "prod");
    const struct context *prod = contexts_find(contexts, "prod");
    g_assert_cmpstr(prod->endpoint, ==, "https://e.example");
    g_assert_cmpstr(secret_reveal(prod->token), ==, "enclii_tok\"en");
    g_assert_null(contexts_find(contexts, "dev")->token);
    g_assert_true(contexts_remove(contexts, "dev"));
    g_assert_false(contexts_remove(contexts, "dev"));
}

static void current_context_holds_unless_another_is_named(struct home *home, gconstpointer data)
{
    keep_two(home);
    g_autoptr(GError) error = NULL;
    g_autoptr(context_t) current = context_find(NULL, &error);
    g_assert_cmpstr(current->endpoint, ==, "https://e.example");
    g_autoptr(context_t) named = context_find("dev", &error);
    g_assert_cmpstr(named->endpoint, ==, "http://127.0.0.1:1");
    g_assert_null(context_find("nope", &error));
    g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
}

/* A token of the file must never go to an endpoint of the environment. */
static void environment_beats_the_file(struct home *home, gconstpointer data)
{
    keep_two(home);
    g_autoptr(GError) error = NULL;
    g_setenv("ENCLII_API_ENDPOINT", "http://other:1", TRUE);
    g_autoptr(context_t) without = context_find(NULL, &error);
    g_assert_cmpstr(without->endpoint, ==, "http://other:1");
    g_assert_null(without->token);
    g_setenv("ENCLII_API_TOKEN", "enclii_env", TRUE);
    g_autoptr(context_t) both = context_find(NULL, &error);
    g_assert_cmpstr(secret_reveal(both->token), ==, "enclii_env");
    g_unsetenv("ENCLII_API_ENDPOINT");
    g_autoptr(context_t) token_only = context_find(NULL, &error);
    g_assert_cmpstr(token_only->endpoint, ==, "https://e.example");
    g_assert_cmpstr(secret_reveal(token_only->token), ==, "enclii_env");
}

static void malformed_file_is_named_and_kept(struct home *home, gconstpointer data)
{
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"contexts\": []}",
        "{\"contexts\": {\"a\": {}}}",
        "{\"contexts\": {\"a\": {\"endpoint\": 5}}}",
        "{\"contexts\": {\"a\": {\"endpoint\": \"x\", \"token\": 1}}}",
        "{\"current\": 1}",
        "{\"current\": \"a\", \"current\": \"b\"}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        write_text(home, texts[i]);
        g_autoptr(GError) error = NULL;
        g_assert_null(contexts_read(home->path, &error));
        g_assert_error(error, SY_ERROR, SY_INVALID_INPUT);
        g_assert_nonnull(strstr(error->message, home->path));
        g_autofree char *text = file_read(home->path, 1000, NULL, NULL);
        g_assert_cmpstr(text, ==, texts[i]);
    }
}

static void without_anything_it_is_the_local_socket(struct home *home, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(context_t) context = context_find(NULL, &error);
    g_assert_no_error(error);
    g_assert_true(g_str_has_prefix(context->endpoint, "unix:"));
    g_assert_null(context->token);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add("/enclii/context/" #name, struct home, NULL, set_up, name, tear_down)
    TEST(file_is_for_its_owner_only);
    TEST(what_is_kept_comes_back);
    TEST(current_context_holds_unless_another_is_named);
    TEST(environment_beats_the_file);
    TEST(malformed_file_is_named_and_kept);
    TEST(without_anything_it_is_the_local_socket);
    return g_test_run();
}
