/* WebSocket frames as a client sends them. */
#include <glib.h>
#include <string.h>

#include "http/frame.h"

static GByteArray *make_frame(unsigned first, const char *payload, size_t length)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    GByteArray *bytes = g_byte_array_new();
    uint8_t head[10] = {(uint8_t)first};
    size_t n = 2;
    if (length < 126) {
        head[1] = (uint8_t)(0x80 | length);
    } else if (length < 65536) {
        head[1] = 0x80 | 126;
        head[2] = (uint8_t)(length >> 8);
        head[3] = (uint8_t)length;
        n = 4;
    } else {
        head[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++) {
            head[2 + i] = (uint8_t)((uint64_t)length >> (56 - 8 * i));
        }
        n = 10;
    }
    g_byte_array_append(bytes, head, (guint)n);
    g_byte_array_append(bytes, mask, 4);
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)payload[i] ^ mask[i % 4];
        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

static void frames_of_every_length_are_read(void)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536};
    g_autofree char *payload = g_malloc(FRAME_MAX);
    memset(payload, 'x', FRAME_MAX);
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        GByteArray *bytes = make_frame(0x80 | FRAME_TEXT, payload, lengths[i]);
        guint whole = bytes->len;
        g_byte_array_append(bytes, (const guint8 *)"next", 4);
        struct frame frame;
        size_t used = 0;
        for (guint cut = 0; cut < MIN(whole, 20); cut++) {
            g_assert_cmpint(frame_parse(bytes->data, cut, &frame, &used), ==, FRAME_INCOMPLETE);
        }
        g_assert_cmpint(frame_parse(bytes->data, whole - 1, &frame, &used), ==, FRAME_INCOMPLETE);
        g_assert_cmpint(frame_parse(bytes->data, bytes->len, &frame, &used), ==, FRAME_OK);
        g_assert_cmpuint(used, ==, whole);
        g_assert_cmpint(frame.opcode, ==, FRAME_TEXT);
        g_assert_true(frame.is_final);
        g_assert_cmpmem(frame.payload, frame.length, payload, lengths[i]);
        g_byte_array_unref(bytes);
    }
}

/* RFC 6455 section 5.7, a masked "Hello" */
static void the_example_of_the_rfc_is_read(void)
{
    uint8_t bytes[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    struct frame frame;
    size_t used = 0;
    g_assert_cmpint(frame_parse(bytes, sizeof bytes, &frame, &used), ==, FRAME_OK);
    g_assert_cmpmem(frame.payload, frame.length, "Hello", 5);
}

static void breaches_of_the_protocol_are_told(void)
{
    static const uint8_t firsts[] = {
        0x83,       0x84,        0x87,       0x8b, 0x8f, /* unknown opcodes */
        0xc1,       0xa1,        0x91,                   /* reserved bits */
        FRAME_PING, FRAME_CLOSE, FRAME_PONG,             /* control frames in pieces */
    };
    struct frame frame;
    size_t used = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(firsts); i++) {
        GByteArray *bytes = make_frame(firsts[i], "x", 1);
        g_assert_cmpint(frame_parse(bytes->data, bytes->len, &frame, &used), ==, FRAME_PROTOCOL_ERROR);
        g_byte_array_unref(bytes);
    }
    char payload[126] = {0};
    GByteArray *long_ping = make_frame(0x80 | FRAME_PING, payload, sizeof payload);
    g_assert_cmpint(frame_parse(long_ping->data, long_ping->len, &frame, &used), ==, FRAME_PROTOCOL_ERROR);
    g_byte_array_unref(long_ping);
    uint8_t unmasked[] = {0x81, 0x01, 'x'};
    g_assert_cmpint(frame_parse(unmasked, sizeof unmasked, &frame, &used), ==, FRAME_PROTOCOL_ERROR);
    g_assert_cmpuint(used, ==, 0);
}

static void control_frames_of_125_bytes_are_read(void)
{
    static const enum frame_opcode opcodes[] = {FRAME_CLOSE, FRAME_PING, FRAME_PONG};
    char payload[125];
    memset(payload, 'p', sizeof payload);
    for (size_t i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        struct frame frame;
        size_t used = 0;
        GByteArray *bytes = make_frame(0x80 | opcodes[i], payload, sizeof payload);
        g_assert_cmpint(frame_parse(bytes->data, bytes->len, &frame, &used), ==, FRAME_OK);
        g_assert_cmpint(frame.opcode, ==, opcodes[i]);
        g_assert_cmpmem(frame.payload, frame.length, payload, sizeof payload);
        g_byte_array_unref(bytes);
    }
}

static void too_large_is_told_by_the_header(void)
{
    uint8_t just[14] = {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1};
    uint8_t most[14] = {0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct frame frame;
    size_t used = 0;
    g_assert_cmpint(frame_parse(just, sizeof just, &frame, &used), ==, FRAME_TOO_BIG);
    g_assert_cmpint(frame_parse(most, sizeof most, &frame, &used), ==, FRAME_TOO_BIG);
    g_assert_cmpint(frame_parse(most, 13, &frame, &used), ==, FRAME_INCOMPLETE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add_func("/frame/" #name, name)
    ADD(frames_of_every_length_are_read);
    ADD(the_example_of_the_rfc_is_read);
    ADD(breaches_of_the_protocol_are_told);
    ADD(control_frames_of_125_bytes_are_read);
    ADD(too_large_is_told_by_the_header);
    return g_test_run();
}
