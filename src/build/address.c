#include "build/address.h"

#include <arpa/inet.h>
#include <glib.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

struct block {
    uint32_t network;
    unsigned bits;
};

static const struct block special[] = {
    {0x00000000, 8},  /* this network */
    {0x0A000000, 8},  /* private */
    {0x64400000, 10}, /* carrier-grade NAT */
    {0x7F000000, 8},  /* loopback */
    {0xA9FE0000, 16}, /* link-local, metadata services */
    {0xAC100000, 12}, /* private */
    {0xC0000000, 24}, /* protocol assignments */
    {0xC0000200, 24}, /* documentation */
    {0xC0586300, 24}, /* 6to4 relays */
    {0xC0A80000, 16}, /* private */
    {0xC6120000, 15}, /* benchmarks */
    {0xC6336400, 24}, /* documentation */
    {0xCB007100, 24}, /* documentation */
    {0xE0000000, 3},  /* multicast, reserved, broadcast */
};

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < G_N_ELEMENTS(special); i++) {
        uint32_t mask = UINT32_MAX << (32 - special[i].bits);
        if ((address & mask) == special[i].network) {
            return false;
        }
    }
    return true;
}

static uint32_t number_at(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_public6(const uint8_t *bytes)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xFF, 0x9B};
    uint32_t first = number_at(bytes);
    if (memcmp(bytes, mapped, sizeof mapped) == 0 || memcmp(bytes, nat64, sizeof nat64) == 0) {
        return is_public4(number_at(bytes + 12));
    }
    if (first >> 16 == 0x2002) { /* 6to4 */
        return is_public4(number_at(bytes + 2));
    }
    /* 2000::/3 is what is global; of that 2001::/23 is for protocols, 2001:db8::/32 and 3fff::/20 for documents. */
    return first >> 29 == 1 && first >> 9 != 0x20010000U >> 9 && first != 0x20010DB8U && first >> 12 != 0x3FFF0U;
}

bool address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return is_public4(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return is_public6(in6.sin6_addr.s6_addr);
    }
    return false;
}

static bool from_brackets(const char *host, struct sockaddr_storage *ret_address, bool *ret_is_malformed)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    size_t length = strlen(host);
    g_autofree char *inner = g_strndup(host + 1, length >= 2 ? length - 2 : 0);
    if (host[length - 1] != ']' || inet_pton(AF_INET6, inner, &in6.sin6_addr) != 1) {
        *ret_is_malformed = true;
        return false;
    }
    memcpy(ret_address, &in6, sizeof in6);
    return true;
}

/* By the URL standard a host whose last label is a number is an IPv4 address or nothing. */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *label = dot != NULL ? dot + 1 : host;
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X')) {
        return strspn(label + 2, "0123456789abcdefABCDEF") == strlen(label + 2);
    }
    return *label != '\0' && strspn(label, "0123456789") == strlen(label);
}

bool address_from_literal(const char *host, struct sockaddr_storage *ret_address, bool *ret_is_malformed)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    *ret_is_malformed = false;
    if (host[0] == '[') {
        return from_brackets(host, ret_address, ret_is_malformed);
    }
    g_autofree char *name = g_strdup(host);
    size_t length = strlen(name);
    if (length > 0 && name[length - 1] == '.') {
        name[length - 1] = '\0';
    }
    if (!ends_in_number(name)) {
        return false;
    }
    if (inet_aton(name, &in.sin_addr) == 0) {
        *ret_is_malformed = true;
        return false;
    }
    memcpy(ret_address, &in, sizeof in);
    return true;
}
