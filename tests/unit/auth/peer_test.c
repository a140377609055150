/* Peers of the unix socket, against a user database of the test's own: the functions of the C library that would ask the
 * system's are defined here instead, because groups with members cannot be made without changing the machine. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "auth/authenticator.h"
#include "base/error.h"

enum { ALICE = 20001, BOB, MALLORY, NAMELESS };
enum { GROUP_GID = 30001, OTHER_GID };

static struct {
    uid_t daemon;                /* who runs the test, as the authenticator sees it */
    int group_errno, user_errno; /* not 0: the database cannot be asked */
    bool is_empty;               /* the group has no members */
} database;

uid_t getuid(void)
{
    return database.daemon;
}

int getgrnam_r(const char *name, struct group *group, char *buffer, size_t size, struct group **ret)
{
    static char *members[] = {(char *)"alice", (char *)"bob", NULL};
    static char *nobody[] = {NULL};
    *ret = NULL;
    if (database.group_errno != 0 || strcmp(name, "enclii") != 0) {
        return database.group_errno;
    }
    *group = (struct group){
        .gr_name = (char *)"enclii", .gr_gid = GROUP_GID, .gr_mem = database.is_empty ? nobody : members};
    *ret = group;
    return 0;
}

int getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **ret)
{
    static const char *const names[] = {"alice", "bob", "mallory"};
    *ret = NULL;
    if (database.user_errno != 0 || uid < ALICE || uid > MALLORY) {
        return database.user_errno;
    }
    *user = (struct passwd){.pw_name = (char *)names[uid - ALICE], .pw_uid = uid, .pw_gid = OTHER_GID};
    *ret = user;
    return 0;
}

/* --- what is asked --------------------------------------------------------------------------------------------------- */

static struct authenticator *authenticator_make(const char *group)
{
    memset(&database, 0, sizeof database);
    return authenticator_new(NULL, "organization", group);
}

static void let_in(struct authenticator *authenticator, uid_t uid, gid_t gid, const char *name)
{
    g_autoptr(GError) error = NULL;
    struct principal *principal = authenticate_peer(authenticator, uid, gid, &error);
    g_assert_no_error(error);
    g_autofree char *id = g_strdup_printf("socket:%u", (unsigned)uid);
    g_assert_cmpstr(principal->name, ==, name);
    g_assert_cmpstr(principal->id, ==, id);
    g_assert_cmpint(principal->level, ==, SCOPE_ADMIN);
    g_assert_cmpstr(principal->organization_id, ==, "organization");
    g_assert_null(principal->project_id);
    principal_free(principal);
}

static void keep_out(struct authenticator *authenticator, uid_t uid, gid_t gid)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(authenticate_peer(authenticator, uid, gid, &error));
    g_assert_error(error, SY_ERROR, SY_NOT_SIGNED_IN);
    g_assert_true(g_str_has_prefix(sy_error_hint(error), "usermod -aG "));
}

static void root_and_the_user_of_the_daemon_are_let_in(void)
{
    struct authenticator *authenticator = authenticator_make("enclii");
    database.daemon = MALLORY;
    let_in(authenticator, 0, 0, "socket:root");
    let_in(authenticator, MALLORY, OTHER_GID, "socket:20003");
    database.daemon = ALICE;
    keep_out(authenticator, MALLORY, OTHER_GID);
    authenticator_free(authenticator);
}

static void members_of_the_group_are_let_in(void)
{
    struct authenticator *authenticator = authenticator_make("enclii");
    let_in(authenticator, ALICE, OTHER_GID, "socket:20001");
    let_in(authenticator, BOB, OTHER_GID, "socket:20002");
    let_in(authenticator, NAMELESS, GROUP_GID, "socket:20004"); /* by the group it came with */
    keep_out(authenticator, MALLORY, OTHER_GID);
    keep_out(authenticator, NAMELESS, OTHER_GID);
    database.is_empty = true;
    keep_out(authenticator, ALICE, OTHER_GID);
    let_in(authenticator, ALICE, GROUP_GID, "socket:20001");
    authenticator_free(authenticator);
}

static void a_group_that_is_not_there_lets_nobody_in(void)
{
    struct authenticator *authenticator = authenticator_make("no-such-group");
    g_autoptr(GError) error = NULL;
    keep_out(authenticator, ALICE, GROUP_GID);
    g_assert_null(authenticate_peer(authenticator, ALICE, 0, &error));
    g_assert_cmpstr(error->message, ==, "user 20001 is not in the group no-such-group");
    authenticator_free(authenticator);
}

static void a_user_database_that_does_not_answer_lets_nobody_in(void)
{
    struct authenticator *authenticator = authenticator_make("enclii");
    database.group_errno = EIO;
    keep_out(authenticator, ALICE, GROUP_GID);
    let_in(authenticator, 0, 0, "socket:root");
    database.group_errno = 0;
    database.user_errno = ERANGE;
    keep_out(authenticator, ALICE, OTHER_GID);
    let_in(authenticator, ALICE, GROUP_GID, "socket:20001"); /* her name is not asked for */
    authenticator_free(authenticator);
}

static void destructors_take_null(void)
{
    authenticator_free(NULL);
    principal_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/peer/" #name, name)
    ADD(root_and_the_user_of_the_daemon_are_let_in);
    ADD(members_of_the_group_are_let_in);
    ADD(a_group_that_is_not_there_lets_nobody_in);
    ADD(a_user_database_that_does_not_answer_lets_nobody_in);
    ADD(destructors_take_null);
    return g_test_run();
}
