/* Tokens, against both databases with the real schema; socket peers have a file of their own. */
#include <string.h>

#include "auth/authenticator.h"
#include "base/id.h"
#include "fixture.h"
#include "store/resources.h"

#define SECOND_US INT64_C(1000000)
#define NOW_US (INT64_C(1795449600) * SECOND_US)

struct world {
    struct store *store;
    char *organization_id;
    char *project_id;
    struct authenticator *authenticator;
};

static bool make_rows(struct tx *tx, void *arg, GError **error)
{
    struct world *world = arg;
    g_autofree char *installation = uuid_new();
    g_autofree char *installation_id = NULL;
    g_autofree char *key_id = NULL;
    g_autoptr(project_t) project = contract_new(&project_type);
    g_clear_pointer(&world->organization_id, g_free);
    g_clear_pointer(&world->project_id, g_free);
    if (!installation_ensure(tx, installation, "key", NOW_US, &installation_id, &key_id, &world->organization_id,
                             error)) {
        return false;
    }
    project->id = world->project_id = uuid_new();
    project->organization_id = g_strdup(world->organization_id);
    project->name = g_strdup("shop");
    project->slug = g_strdup("shop");
    project->created_us = NOW_US;
    bool ok = project_insert(tx, project, error);
    project->id = NULL; /* the world's */
    return ok;
}

static struct world world_open(const struct fixture *fixture)
{
    struct world world = {0};
    g_autoptr(GError) error = NULL;
    const struct store_options options = {.allow_volatile = true};
    world.store = store_open(fixture->url, &options, &error);
    g_assert_no_error(error);
    g_assert_true(store_migrate(world.store, -1, false, &error));
    bool ok = store_write(world.store, "make_rows", make_rows, &world, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    world.authenticator = authenticator_new(world.store, world.organization_id, "enclii");
    return world;
}

static void world_close(struct world *world)
{
    authenticator_free(world->authenticator);
    store_close(world->store);
    g_free(world->organization_id);
    g_free(world->project_id);
}

static bool insert_token(struct tx *tx, void *token, GError **error)
{
    return token_insert(tx, token, error);
}

struct made {
    char *id, *hash, *header;
};

static struct made add_token(struct world *world, const char *name, const char *scope, const char *project_id,
                             int64_t expires_us)
{
    g_autoptr(token_t) token = contract_new(&token_type);
    g_autofree char *prefix = NULL;
    struct made made = {.id = uuid_new()};
    g_autofree char *raw = token_make(&made.hash, &prefix);
    made.header = g_strconcat("Bearer ", raw, NULL);
    token->id = g_strdup(made.id);
    token->organization_id = g_strdup(world->organization_id);
    token->name = g_strdup(name);
    token->prefix = g_strdup(prefix);
    token->hash = g_strdup(made.hash);
    token->scopes = g_strsplit(scope, ",", -1);
    token->project_id = g_strdup(project_id);
    token->expires_us = expires_us;
    token->created_us = NOW_US;
    g_autoptr(GError) error = NULL;
    bool ok = store_write(world->store, "token_insert", insert_token, token, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    return made;
}

static void made_clear(struct made *made)
{
    g_free(made->id);
    g_free(made->hash);
    g_free(made->header);
}

static struct principal *let_in(struct world *world, const char *header, const char *address, int64_t now_us)
{
    g_autoptr(GError) error = NULL;
    struct principal *principal = authenticate_token(world->authenticator, header, address, now_us, &error);
    g_assert_no_error(error);
    g_assert_nonnull(principal);
    return principal;
}

static void keep_out(struct world *world, const char *header, const char *address, int64_t now_us, enum sy_code code)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(authenticate_token(world->authenticator, header, address, now_us, &error));
    g_assert_error(error, SY_ERROR, (int)code);
    g_assert_true(header == NULL || strlen(header) < 20 || strstr(error->message, header + 20) == NULL);
}

static bool revoke_row(struct tx *tx, void *id, GError **error)
{
    return token_revoke(tx, id, NOW_US, error);
}

static void revoke_token(struct world *world, const struct made *made)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(store_write(world->store, "token_revoke", revoke_row, made->id, &error));
}

/* --- tokens ------------------------------------------------------------------------------------------------------------ */

static void a_good_token_says_who_it_is(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "read,deploy", NULL, CONTRACT_ABSENT);
    struct principal *principal = let_in(&world, made.header, "a", NOW_US);
    g_assert_cmpstr(principal->name, ==, "token:ci");
    g_assert_cmpint(principal->level, ==, SCOPE_DEPLOY);
    g_assert_cmpstr(principal->organization_id, ==, world.organization_id);
    g_assert_null(principal->project_id);
    principal_free(principal);
    g_autofree char *shouted = g_strconcat("BEARER  ", made.header + strlen("Bearer "), NULL);
    principal_free(let_in(&world, shouted, "a", NOW_US));
    made_clear(&made);
    world_close(&world);
}

static void a_token_of_a_project_is_bound_to_it(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "shop", "admin", world.project_id, CONTRACT_ABSENT);
    struct principal *principal = let_in(&world, made.header, "a", NOW_US);
    struct scope scope = principal_scope(principal);
    g_assert_cmpstr(scope.project_id, ==, world.project_id);
    g_assert_cmpstr(scope.organization_id, ==, world.organization_id);
    g_assert_false(
        permission_is_granted(permission_find("token.write"), principal->level, principal->project_id != NULL));
    g_assert_true(
        permission_is_granted(permission_find("service.write"), principal->level, principal->project_id != NULL));
    principal_free(principal);
    made_clear(&made);
    world_close(&world);
}

static void unknown_scopes_allow_nothing(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "odd", "root,Admin,*", NULL, CONTRACT_ABSENT);
    struct principal *principal = let_in(&world, made.header, "a", NOW_US);
    g_assert_cmpint(principal->level, ==, SCOPE_NONE);
    principal_free(principal);
    made_clear(&made);
    world_close(&world);
}

static void the_widest_scope_counts_wherever_it_stands(struct fixture *fixture)
{
    static const struct {
        const char *scopes;
        enum scope_level level;
    } cases[] = {{"admin,read", SCOPE_ADMIN}, {"read,deploy,read", SCOPE_DEPLOY}, {"read", SCOPE_READ}};
    struct world world = world_open(fixture);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("t%zu", i);
        struct made made = add_token(&world, name, cases[i].scopes, NULL, CONTRACT_ABSENT);
        struct principal *principal = let_in(&world, made.header, "a", NOW_US);
        g_test_message("'%s'", cases[i].scopes);
        g_assert_cmpint(principal->level, ==, cases[i].level);
        principal_free(principal);
        made_clear(&made);
    }
    world_close(&world);
}

/* Somebody wrote into the database: no fault of who asks, and no right either. */
static void a_row_without_scopes_lets_nobody_in(struct fixture *fixture)
{
    static const char *const stored[] = {"[]", "null", "{}", "\"admin\"", "admin", ""};
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "admin", NULL, CONTRACT_ABSENT);
    for (size_t i = 0; i < G_N_ELEMENTS(stored); i++) {
        g_autofree char *text = g_strdup_printf("UPDATE tokens SET scopes = '%s'", stored[i]);
        fixture_execute(fixture, text);
        g_autoptr(GError) error = NULL;
        g_test_message("%s", stored[i]);
        g_assert_null(authenticate_token(world.authenticator, made.header, "a", NOW_US, &error));
        g_assert_error(error, SY_ERROR, SY_STORE_FAILED);
    }
    made_clear(&made);
    world_close(&world);
}

static void what_is_not_a_token_is_refused(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "admin", NULL, CONTRACT_ABSENT);
    const char *raw = made.header + strlen("Bearer ");
    g_autoptr(GPtrArray) headers = g_ptr_array_new_with_free_func(g_free);
    static const char *const constant[] = {
        "", "Bearer", "Bearer ", "Basic YTpi", "Bearer enclii_", "Bearer enclii_*", "Bearer %"};
    for (size_t i = 0; i < G_N_ELEMENTS(constant); i++) {
        g_ptr_array_add(headers, g_strdup(constant[i]));
    }
    g_ptr_array_add(headers, g_strdup(raw));
    g_ptr_array_add(headers, g_strconcat("Bearer ", made.hash, NULL));
    g_ptr_array_add(headers, g_strconcat("Bearer Enclii_", raw + strlen(TOKEN_PREFIX), NULL));
    g_ptr_array_add(headers, g_strconcat(made.header, "0", NULL));
    g_ptr_array_add(headers, g_strconcat(made.header, " ", NULL));
    g_ptr_array_add(headers, g_strndup(made.header, strlen(made.header) - 1));
    g_autofree char *upper = g_ascii_strup(raw + strlen(TOKEN_PREFIX), -1);
    g_ptr_array_add(headers, g_strconcat("Bearer " TOKEN_PREFIX, upper, NULL));
    for (guint i = 0; i < headers->len; i++) {
        g_autofree char *address = g_strdup_printf("%u", i);
        g_test_message("'%s'", (const char *)g_ptr_array_index(headers, i));
        keep_out(&world, g_ptr_array_index(headers, i), address, NOW_US, SY_NOT_SIGNED_IN);
    }
    for (size_t i = strlen(made.header) - 64; i < strlen(made.header); i++) { /* one digit wrong */
        g_autofree char *address = g_strdup_printf("digit %zu", i);
        g_autofree char *wrong = g_strdup(made.header);
        wrong[i] = wrong[i] == '0' ? '1' : '0';
        keep_out(&world, wrong, address, NOW_US, SY_NOT_SIGNED_IN);
    }
    principal_free(let_in(&world, made.header, "a", NOW_US));
    made_clear(&made);
    world_close(&world);
}

static void a_revoked_token_dies(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made here = add_token(&world, "here", "admin", NULL, CONTRACT_ABSENT);
    struct made there = add_token(&world, "there", "admin", NULL, CONTRACT_ABSENT);
    principal_free(let_in(&world, here.header, "a", NOW_US));
    principal_free(let_in(&world, there.header, "a", NOW_US));
    revoke_token(&world, &here);
    revoke_token(&world, &there);
    authenticator_forget(world.authenticator, here.hash);
    keep_out(&world, here.header, "a", NOW_US, SY_NOT_SIGNED_IN); /* at once where it was revoked */
    keep_out(&world, there.header, "a", NOW_US + AUTH_CACHE_MS * 1000,
             SY_NOT_SIGNED_IN); /* elsewhere within a second */
    made_clear(&here);
    made_clear(&there);
    world_close(&world);
}

static void an_expired_token_is_refused(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "brief", "admin", NULL, NOW_US + 3600 * SECOND_US);
    struct made over = add_token(&world, "over", "admin", NULL, NOW_US);
    principal_free(let_in(&world, made.header, "a", NOW_US + 3600 * SECOND_US - 2 * SECOND_US));
    keep_out(&world, made.header, "a", NOW_US + 3600 * SECOND_US, SY_NOT_SIGNED_IN);
    keep_out(&world, over.header, "a", NOW_US, SY_NOT_SIGNED_IN);
    made_clear(&made);
    made_clear(&over);
    world_close(&world);
}

static void a_remembered_token_does_not_outlive_itself(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "brief", "admin", NULL, NOW_US + SECOND_US / 2);
    principal_free(let_in(&world, made.header, "a", NOW_US));
    keep_out(&world, made.header, "a", NOW_US + SECOND_US / 2, SY_NOT_SIGNED_IN);
    made_clear(&made);
    world_close(&world);
}

static void guessing_is_slowed_down(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "admin", NULL, CONTRACT_ABSENT);
    for (int i = 0; i < 100; i++) {
        keep_out(&world, NULL, "guesser", NOW_US, SY_NOT_SIGNED_IN); /* no guess at all */
    }
    for (int i = 0; i <= AUTH_MAX_FAILURES; i++) {
        g_autofree char *guess = g_strdup_printf("Bearer " TOKEN_PREFIX "%064x", (unsigned)i);
        keep_out(&world, i % 2 == 0 ? guess : "nonsense", "guesser", NOW_US + i, SY_NOT_SIGNED_IN);
    }
    keep_out(&world, "nonsense", "guesser", NOW_US + SECOND_US, SY_RATE_LIMITED);
    keep_out(&world, made.header, "guesser", NOW_US + 59 * SECOND_US, SY_RATE_LIMITED);
    principal_free(let_in(&world, made.header, "somebody else", NOW_US + 59 * SECOND_US));
    principal_free(let_in(&world, made.header, "guesser", NOW_US + 60 * SECOND_US));
    keep_out(&world, "nonsense", "guesser", NOW_US + 61 * SECOND_US, SY_NOT_SIGNED_IN);
    made_clear(&made);
    world_close(&world);
}

/* What strangers can fill has an end: ten thousand addresses, then all are forgotten. */
static void failures_of_very_many_addresses_are_forgotten(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    for (int i = 0; i <= AUTH_MAX_FAILURES; i++) {
        keep_out(&world, "nonsense", "guesser", NOW_US, SY_NOT_SIGNED_IN);
    }
    for (int i = 1; i < 10000; i++) {
        g_autofree char *address = g_strdup_printf("%d", i);
        keep_out(&world, "nonsense", address, NOW_US, SY_NOT_SIGNED_IN);
    }
    keep_out(&world, "nonsense", "guesser", NOW_US, SY_RATE_LIMITED);
    keep_out(&world, "nonsense", "one more", NOW_US, SY_NOT_SIGNED_IN);
    keep_out(&world, "nonsense", "guesser", NOW_US, SY_NOT_SIGNED_IN);
    world_close(&world);
}

struct crowd {
    struct world *world;
    char *raws[10000];
};

static bool insert_crowd(struct tx *tx, void *arg, GError **error)
{
    struct crowd *crowd = arg;
    for (size_t i = 0; i < G_N_ELEMENTS(crowd->raws); i++) {
        g_autoptr(token_t) token = contract_new(&token_type);
        g_free(crowd->raws[i]);
        crowd->raws[i] = token_make(&token->hash, &token->prefix);
        token->id = uuid_new();
        token->organization_id = g_strdup(crowd->world->organization_id);
        token->name = g_strdup_printf("t%zu", i);
        token->scopes = g_strsplit("read", ",", -1);
        token->last_used_us = NOW_US; /* so that nothing is written when it comes */
        token->created_us = NOW_US;
        if (!token_insert(tx, token, error)) {
            return false;
        }
    }
    return true;
}

/* On one database: it is not what is told here. */
static void what_is_remembered_of_very_many_tokens_is_forgotten(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "first", "admin", NULL, CONTRACT_ABSENT);
    g_autofree struct crowd *crowd = g_new0(struct crowd, 1);
    crowd->world = &world;
    g_autoptr(GError) error = NULL;
    g_assert_true(store_write(world.store, "insert_crowd", insert_crowd, crowd, &error));
    principal_free(let_in(&world, made.header, "a", NOW_US));
    revoke_token(&world, &made);
    for (size_t i = 0; i < G_N_ELEMENTS(crowd->raws); i++) {
        if (i == G_N_ELEMENTS(crowd->raws) - 1) {
            principal_free(let_in(&world, made.header, "a", NOW_US)); /* the cache is full, and still has it */
        }
        g_autofree char *header = g_strconcat("Bearer ", crowd->raws[i], NULL);
        principal_free(let_in(&world, header, "a", NOW_US));
        g_free(crowd->raws[i]);
    }
    keep_out(&world, made.header, "a", NOW_US, SY_NOT_SIGNED_IN);
    made_clear(&made);
    world_close(&world);
}

/* A database that does not answer is no fault of who asks. */
static void a_broken_store_is_not_a_wrong_token(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "admin", NULL, CONTRACT_ABSENT);
    fixture_execute(fixture, "ALTER TABLE tokens RENAME TO elsewhere");
    for (int i = 0; i < AUTH_MAX_FAILURES + 5; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(authenticate_token(world.authenticator, made.header, "a", NOW_US, &error));
        g_assert_false(g_error_matches(error, SY_ERROR, SY_NOT_SIGNED_IN));
        g_assert_false(g_error_matches(error, SY_ERROR, SY_RATE_LIMITED));
    }
    /* What cannot be a token is told without asking. */
    g_autofree char *other = g_strconcat("Bearer Enclii_", made.header + strlen("Bearer " TOKEN_PREFIX), NULL);
    keep_out(&world, other, "b", NOW_US, SY_NOT_SIGNED_IN);
    fixture_execute(fixture, "ALTER TABLE elsewhere RENAME TO tokens");
    principal_free(let_in(&world, made.header, "a", NOW_US));
    made_clear(&made);
    world_close(&world);
}

static void use_is_noted_once_a_minute(struct fixture *fixture)
{
    static const char query[] = "SELECT CAST(last_used_at AS TEXT) FROM tokens";
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "read", NULL, CONTRACT_ABSENT);
    static const struct {
        int64_t at_s, noted_s;
    } steps[] = {{0, 0}, {30, 0}, {60, 0}, {61, 61}, {122, 122}};
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        principal_free(let_in(&world, made.header, "a", NOW_US + steps[i].at_s * SECOND_US));
        g_autofree char *noted = fixture_get(fixture, query);
        g_assert_cmpint(g_ascii_strtoll(noted, NULL, 10), ==, NOW_US + steps[i].noted_s * SECOND_US);
    }
    made_clear(&made);
    world_close(&world);
}

static void only_the_hash_is_kept(void)
{
    g_autofree char *hash = NULL;
    g_autofree char *prefix = NULL;
    g_autofree char *other_hash = NULL;
    g_autofree char *other_prefix = NULL;
    g_autofree char *raw = token_make(&hash, &prefix);
    g_autofree char *other = token_make(&other_hash, &other_prefix);
    g_autofree char *again = token_hash(raw);
    g_assert_cmpuint(strlen(raw), ==, TOKEN_LENGTH);
    g_assert_true(sha256_hex_is_valid(raw + strlen(TOKEN_PREFIX)));
    g_assert_cmpstr(hash, ==, again);
    g_assert_cmpstr(raw, !=, other);
    g_assert_true(g_str_has_prefix(raw, prefix));
    g_assert_cmpuint(strlen(prefix), ==, strlen(TOKEN_PREFIX) + 6);
}

/* --- threads ------------------------------------------------------------------------------------------------------------ */

struct visitor {
    struct world *world;
    const char *header;
    int number;
};

static gpointer come_again_and_again(gpointer data)
{
    const struct visitor *visitor = data;
    g_autofree char *address = g_strdup_printf("%d", visitor->number);
    for (int i = 0; i < 300; i++) {
        g_autoptr(GError) error = NULL;
        struct principal *principal =
            authenticate_token(visitor->world->authenticator, visitor->number % 2 == 0 ? visitor->header : "nonsense",
                               address, NOW_US + i * 10000, &error);
        g_assert_true((principal != NULL) == (visitor->number % 2 == 0));
        principal_free(principal);
    }
    return NULL;
}

static void many_may_come_at_once(struct fixture *fixture)
{
    struct world world = world_open(fixture);
    struct made made = add_token(&world, "ci", "read", NULL, CONTRACT_ABSENT);
    struct visitor visitors[4];
    GThread *threads[G_N_ELEMENTS(visitors)];
    for (int i = 0; i < (int)G_N_ELEMENTS(visitors); i++) {
        visitors[i] = (struct visitor){.world = &world, .header = made.header, .number = i};
        threads[i] = g_thread_new("visitor", come_again_and_again, &visitors[i]);
    }
    for (int i = 0; i < 300; i++) {
        authenticator_forget(world.authenticator, made.hash);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    made_clear(&made);
    world_close(&world);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) fixture_add_unopened("/auth/" #name, name)
    ADD(a_good_token_says_who_it_is);
    ADD(a_token_of_a_project_is_bound_to_it);
    ADD(unknown_scopes_allow_nothing);
    ADD(the_widest_scope_counts_wherever_it_stands);
    ADD(a_row_without_scopes_lets_nobody_in);
    ADD(what_is_not_a_token_is_refused);
    ADD(a_revoked_token_dies);
    ADD(an_expired_token_is_refused);
    ADD(a_remembered_token_does_not_outlive_itself);
    ADD(guessing_is_slowed_down);
    ADD(failures_of_very_many_addresses_are_forgotten);
    fixture_add_unopened_on(STORE_SQLITE, "/auth/what_is_remembered_of_very_many_tokens_is_forgotten",
                            what_is_remembered_of_very_many_tokens_is_forgotten);
    ADD(a_broken_store_is_not_a_wrong_token);
    ADD(use_is_noted_once_a_minute);
    ADD(many_may_come_at_once);
    g_test_add_func("/auth/only_the_hash_is_kept", only_the_hash_is_kept);
    return g_test_run();
}
