#define _GNU_SOURCE
#include "streams.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool send_all(int fd, const void *bytes, size_t n)
{
    for (const char *at = bytes; n > 0;) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* --- the handshake's digest (RFC 3174; one block of up to 119 bytes becomes two) ------------------------------------- */

static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
    static const uint32_t k[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
               block[4 * i + 3];
    }
    for (int i = 16; i < 80; i++) {
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i >= 40 && i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t next = rotate(a, 5) + f + e + k[i / 20] + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

static void sha1(const char *text, uint8_t out[21])
{
    uint8_t blocks[128] = {0};
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t n = strlen(text), size = n + 9 > 64 ? 128 : 64;
    memcpy(blocks, text, n);
    blocks[n] = 0x80;
    blocks[size - 2] = (uint8_t)(n * 8 >> 8);
    blocks[size - 1] = (uint8_t)(n * 8);
    for (size_t i = 0; i < size; i += 64) {
        sha1_block(h, blocks + i);
    }
    for (int i = 0; i < 20; i++) {
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
    }
    out[20] = 0;
}

/* Base64 of 20 bytes. */
static void accept_key(const char *key, char out[29])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[128];
    uint8_t sum[21];
    snprintf(text, sizeof text, "%.60s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, sum);
    for (int i = 0; i < 7; i++) {
        uint32_t three = (uint32_t)sum[3 * i] << 16 | (uint32_t)sum[3 * i + 1] << 8 | sum[3 * i + 2];
        for (int j = 0; j < 4; j++) {
            out[4 * i + j] = digits[three >> (18 - 6 * j) & 63];
        }
    }
    memcpy(out + 27, "=", 2);
}

/* --- WebSocket ---------------------------------------------------------------------------------------------------------- */

static bool shake_hands(int fd, const char *head)
{
    char key[64] = "", accept[29], reply[256];
    const char *at = strcasestr(head, "\r\nsec-websocket-key:");
    if (at == NULL || sscanf(at + 20, " %60s", key) != 1) {
        return false;
    }
    accept_key(key, accept);
    int n = snprintf(reply, sizeof reply,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    return send_all(fd, reply, (size_t)n);
}

/* A frame of at most 125 bytes, echoed; false when the connection is over. */
static bool echo_frame(int fd)
{
    uint8_t frame[6 + 125];
    if (recv(fd, frame, 6, MSG_WAITALL) != 6) {
        return false;
    }
    size_t n = frame[1] & 0x7f;
    if (n > 125 || (n > 0 && recv(fd, frame + 6, n, MSG_WAITALL) != (ssize_t)n)) {
        return false;
    }
    uint8_t reply[2 + 125] = {frame[0], (uint8_t)n};
    for (size_t i = 0; i < n; i++) {
        reply[2 + i] = frame[6 + i] ^ frame[2 + i % 4];
    }
    return send_all(fd, reply, 2 + n) && (frame[0] & 0x0f) != 8;
}

void serve_websocket(int fd, const char *head, bool (*is_over)(void))
{
    static const uint8_t going_away[] = {0x88, 2, 1001 >> 8, 1001 & 0xff};
    bool goes_on = shake_hands(fd, head);
    bool said_so = false;
    while (goes_on) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = poll(&wait, 1, 100);
        if (is_over() && !said_so) {
            said_so = send_all(fd, going_away, sizeof going_away);
            goes_on = said_so;
        } else if (is_over()) {
            char sink[256]; /* until the client has answered the close frame */
            goes_on = ready == 0 || recv(fd, sink, sizeof sink, 0) > 0;
        } else if (ready > 0) {
            goes_on = echo_frame(fd);
        }
    }
}

/* --- server-sent events --------------------------------------------------------------------------------------------------- */

void serve_events(int fd, bool (*is_over)(void))
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                               "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    bool goes_on = send_all(fd, head, sizeof head - 1);
    for (long number = 1; goes_on && !is_over(); number++) {
        char event[64], chunk[80];
        int n = snprintf(event, sizeof event, "data: %ld\n\n", number);
        n = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)n, event);
        goes_on = send_all(fd, chunk, (size_t)n);
        struct pollfd wait = {.fd = fd, .events = POLLRDHUP};
        goes_on = goes_on && poll(&wait, 1, 100) == 0;
    }
    send_all(fd, "0\r\n\r\n", 5);
}
