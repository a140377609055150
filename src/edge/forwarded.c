/* Where a request says that it comes from: the client's own words are worth nothing, those of a trusted proxy something. */
#include <arpa/inet.h>
#include <string.h>

#include "base/quantity.h"
#include "edge/internal.h"

#define MAX_PROXIES 64

/* Also in the spelling that some programs fold. */
#define OTHER_CLAIMS                                                                                                   \
    "forwarded|x[-_](real|client|cluster[-_]client)[-_]?ip|true[-_]client[-_]ip|cf[-_]connecting[-_]ip|"               \
    "client[-_]ip|x[-_]original[-_](url|host|for)|x[-_]rewrite[-_]url|x[-_]host|x[-_]request[-_]id|proxy"
/* Everything that begins so but x-forwarded-for itself; without look-ahead, which not every build of HAProxy has. */
#define ALL_BUT_FOR "x_forwarded([-_].*)?|x-forwarded(_.*)?|x-forwarded-(f|fo|[^f].*|f[^o].*|fo[^r].*|for.+)?"
#define RULES_RETRY "    http-request disable-l7-retry unless { method GET HEAD OPTIONS PUT DELETE }\n"

static const char rules_of_strangers[] =
    "    http-request del-header ^(x[-_]forwarded([-_].*)?|" OTHER_CLAIMS ")$ -m reg\n"
    "    http-request set-header X-Request-Id %[unique-id]\n"
    "    http-request set-header X-Forwarded-For %[src]\n"
    "    http-request set-header X-Forwarded-Proto http\n"
    "    http-request set-header X-Forwarded-Host %[req.hdr(host)]\n"
    "    http-request set-header X-Forwarded-Port %[dst_port]\n"
    "    http-request set-header X-Real-IP %[src]\n" RULES_RETRY;

/* What an old worker hands on is left to the new one: done twice, the proxy would be in the list twice. Of the protocol and of
 * the client the last word counts: the proxy's own. */
static const char rules_with_proxies[] = RULES_RETRY
    "    http-request allow if { var(txn.is_late) -m bool }\n"
    "    http-request set-var(txn.proto) str(http)\n"
    "    http-request set-var(txn.proto) str(https) if from_proxy { req.hdr(x-forwarded-proto,-1),lower -m str https "
    "}\n"
    "    http-request set-var(txn.client) src\n"
    "    http-request set-var(txn.client) req.hdr_ip(x-forwarded-for,-1) if from_proxy "
    "{ req.hdr_ip(x-forwarded-for,-1) -m found }\n"
    "    http-request del-header ^(x[-_]forwarded([-_].*)?|" OTHER_CLAIMS ")$ -m reg unless from_proxy\n"
    "    http-request del-header ^(" ALL_BUT_FOR "|" OTHER_CLAIMS ")$ -m reg if from_proxy\n"
    "    http-request set-var(txn.hops) req.fhdr_cnt(x-forwarded-for)\n"
    "    http-request set-header X-Forwarded-For %[src] if { var(txn.hops) -m int 0 }\n"
    "    http-request replace-header X-Forwarded-For ^(.*)$ '\\1, %[src]' if { var(txn.hops) -m int 1 }\n"
    "    http-request add-header X-Forwarded-For %[src] if { var(txn.hops) -m int gt 1 }\n"
    "    http-request set-header X-Request-Id %[unique-id]\n"
    "    http-request set-header X-Forwarded-Proto %[var(txn.proto)]\n"
    "    http-request set-header X-Forwarded-Host %[req.hdr(host)]\n"
    "    http-request set-header X-Forwarded-Port %[dst_port]\n"
    "    http-request set-header X-Forwarded-Port 443 if { var(txn.proto) -m str https }\n"
    "    http-request set-header X-Real-IP %[var(txn.client)]\n";

static bool is_range(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    struct in6_addr address;
    int64_t bits;
    if (parts[0] == NULL) {
        return false;
    }
    bool is_ipv4 = inet_pton(AF_INET, parts[0], &address) == 1;
    bool is_ipv6 = !is_ipv4 && inet_pton(AF_INET6, parts[0], &address) == 1;
    return (is_ipv4 || is_ipv6) && (parts[1] == NULL || int_parse(parts[1], 1, is_ipv4 ? 32 : 128, &bits));
}

/* NULL-ended; the empty list for NULL and "". */
static char **split(const char *proxies)
{
    char **ranges = g_strsplit(proxies != NULL ? proxies : "", ",", MAX_PROXIES + 1);
    for (char **range = ranges; *range != NULL; range++) {
        g_strstrip(*range);
    }
    return ranges;
}

const char *edge_check_proxies(const char *proxies)
{
    g_auto(GStrv) ranges = split(proxies);
    bool ok = g_strv_length(ranges) <= MAX_PROXIES;
    for (char **range = ranges; ok && *range != NULL; range++) {
        ok = is_range(*range);
    }
    return ok ? NULL
              : "must be at most 64 addresses or ranges such as 10.0.0.0/8 or fd00::/8, with commas between them";
}

void edge_add_request_rules(GString *out, const struct edge_options *options)
{
    g_auto(GStrv) ranges = split(options->trusted_proxies);
    for (char **range = ranges; *range != NULL; range++) {
        g_string_append_printf(out, "    acl from_proxy src %s\n", *range);
    }
    g_string_append(out, *ranges != NULL ? rules_with_proxies : rules_of_strangers);
}
