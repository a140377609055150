/* WebSocket frames as clients send them (RFC 6455 section 5.2). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 65536

enum frame_opcode {
    FRAME_CONTINUATION = 0,
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10,
};

struct frame {
    enum frame_opcode opcode;
    bool is_final;
    uint8_t *payload; /* within the input, unmasked in place */
    size_t length;
};

enum frame_outcome {
    FRAME_OK,
    FRAME_INCOMPLETE,
    FRAME_PROTOCOL_ERROR, /* close with 1002 */
    FRAME_TOO_BIG,        /* close with 1009 */
};

/* Parses the first frame of `bytes`; with FRAME_OK, *ret_used bytes are done with. */
enum frame_outcome frame_parse(uint8_t *bytes, size_t length, struct frame *ret_frame, size_t *ret_used);
