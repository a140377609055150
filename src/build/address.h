/* Which network addresses a fetch that users name may reach. Private to this folder. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Global unicast and none of the special blocks (IANA special-purpose registries, RFC 6890), also inside IPv4-mapped, NAT64
 * and 6to4 addresses. */
bool address_is_public(const struct sockaddr *address);

/* A host as URLs spell it, IPv6 in brackets, IPv4 in any spelling that inet_aton(3) takes (0x7f.1, 2130706433, 0177.0.0.1).
 * False when it is a name. A name that ends in a number is neither: *ret_is_malformed. */
bool address_from_literal(const char *host, struct sockaddr_storage *ret_address, bool *ret_is_malformed);
