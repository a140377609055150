#include "http/frame.h"

/* Bytes of the header with mask, or 0 while it is incomplete; the first two bytes are there. */
static size_t header_length(const uint8_t *bytes, size_t length)
{
    unsigned short_length = bytes[1] & 0x7f;
    size_t extra = short_length == 127 ? 8 : (short_length == 126 ? 2 : 0);
    size_t total = 2 + extra + 4;
    return length >= total ? total : 0;
}

static bool is_known(unsigned opcode)
{
    return opcode <= FRAME_BINARY || (opcode >= FRAME_CLOSE && opcode <= FRAME_PONG);
}

static uint64_t payload_length(const uint8_t *bytes)
{
    unsigned short_length = bytes[1] & 0x7f;
    size_t extra = short_length == 127 ? 8 : (short_length == 126 ? 2 : 0);
    uint64_t total = extra == 0 ? short_length : 0;
    for (size_t i = 0; i < extra; i++) {
        total = total << 8 | bytes[2 + i];
    }
    return total;
}

enum frame_outcome frame_parse(uint8_t *bytes, size_t length, struct frame *ret_frame, size_t *ret_used)
{
    if (length < 2) {
        return FRAME_INCOMPLETE;
    }
    unsigned opcode = bytes[0] & 0x0f;
    bool is_final = (bytes[0] & 0x80) != 0;
    bool is_control = opcode >= FRAME_CLOSE;
    bool is_masked = (bytes[1] & 0x80) != 0;
    bool is_bad = (bytes[0] & 0x70) != 0 || !is_known(opcode) || !is_masked ||
                  (is_control && (!is_final || (bytes[1] & 0x7f) > 125));
    if (is_bad) {
        return FRAME_PROTOCOL_ERROR;
    }
    size_t start = header_length(bytes, length);
    if (start == 0) {
        return FRAME_INCOMPLETE;
    }
    uint64_t size = payload_length(bytes);
    if (size > FRAME_MAX) {
        return FRAME_TOO_BIG;
    }
    if (length - start < size) {
        return FRAME_INCOMPLETE;
    }
    const uint8_t *mask = bytes + start - 4;
    for (size_t i = 0; i < size; i++) {
        bytes[start + i] ^= mask[i % 4];
    }
    *ret_frame = (struct frame){
        .opcode = (enum frame_opcode)opcode, .is_final = is_final, .payload = bytes + start, .length = (size_t)size};
    *ret_used = start + (size_t)size;
    return FRAME_OK;
}
