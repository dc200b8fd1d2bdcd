/* What device and server share: symbols, their codecs, packets, fusion.
 *
 * Freestanding C99; needs memcpy and memset only. Every function that reads bytes
 * treats them as hostile. docs/PROTOCOL.md shows the bytes and test vectors.
 *
 * Feature map: `channels` planes of height x width symbols, plane after plane, rows
 * from top to bottom, left to right ("planar order"). Channel 0 is the first *sent*
 * channel (channel k of the extractor's output), the most important of those sent.
 * A symbol is an index 0..7 of a learned level; level 0 is always the value 0.
 *
 * Tile: the part of a map that one packet carries. Either whole channels
 * (row_first = 0, row_count = height), or a band of rows of exactly one channel; so
 * that every tile is one contiguous run in planar order. Tiles of one frame follow
 * one another in planar order, do not overlap, and each decodes on its own. */
#ifndef AGN_WIRE_H
#define AGN_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "agn_status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    AGN_WIRE_VERSION = 1,
    AGN_WIRE_MAX_PACKET = 1152, /* bytes of a feature packet: CoAP + UDP + IPv6 stay within 1280 */
    AGN_WIRE_MAX_CLASSES = 1000,
    AGN_WIRE_LEVELS = 8, /* symbols 0..7, 3 bits each */
    AGN_WIRE_SYMBOL_BITS = 3,

    AGN_FEATURE_HEADER_BYTES = 16,
    AGN_REPLY_HEADER_BYTES = 12,
    AGN_WIRE_CRC_BYTES = 4,
    AGN_FEATURE_OVERHEAD_BYTES = AGN_FEATURE_HEADER_BYTES + AGN_WIRE_CRC_BYTES,
    AGN_FEATURE_MAX_PAYLOAD = AGN_WIRE_MAX_PACKET - AGN_FEATURE_OVERHEAD_BYTES,
    AGN_WIRE_MAX_REPLY = AGN_REPLY_HEADER_BYTES + 2 * AGN_WIRE_MAX_CLASSES + AGN_WIRE_CRC_BYTES,
};

/* Bytes of a reply with that many classes. */
#define AGN_REPLY_BYTES(class_count)                                                                         \
    (AGN_REPLY_HEADER_BYTES + 2u * (size_t)(class_count) + AGN_WIRE_CRC_BYTES)

/* ---- codecs -------------------------------------------------------------- */

enum agn_codec {
    AGN_CODEC_RAW3 = 0,  /* 3 bits a symbol, least significant bit first */
    AGN_CODEC_LZW = 1,   /* LZW over 8 symbols, codes of 3 to 10 bits, frozen when full */
    AGN_CODEC_RANGE = 2, /* range coder with learned static context models */
    AGN_CODEC_COUNT,     /* of those that code symbols; for what codes pixels see below */
    AGN_CODEC_JPEG = 3,  /* rows of an image, see "images as they are"; before 0.2 this was Huffman */
};

/* The learned tables of a context model: which of a few distributions a symbol has, by its channel and its
 * neighbours (agn_context.h). Both ends must hold the same. On a device they lie in model.agn. */
enum {
    AGN_CONTEXTS = 128, /* a channel */
    AGN_DISTRIBUTIONS_MAX = 255,
    AGN_DISTRIBUTION_BYTES = 2 * AGN_WIRE_LEVELS,
    AGN_PROBABILITY_BITS = 15,
};
struct agn_context_model {
    const uint8_t *map; /* (channels, AGN_CONTEXTS): number of a distribution */
    /* (distributions, 8): u16, little-endian: probability of the symbols up to and including this one, in
     * 2^-15. Strictly ascending in each distribution, the last is 2^15: every symbol can occur. */
    const uint8_t *cumulative;
    uint8_t distributions; /* >= 1 */
    uint8_t channels;
};

/* Are all entries in range? AGN_ERR_RANGE. A context model from outside must pass before it is used. */
int agn_context_model_check(const struct agn_context_model *model);

/* Context of the symbol at `column`: `row` and `above` hold one symbol a byte, `above` may be NULL. */
unsigned agn_context_at(const uint8_t *row, const uint8_t *above, unsigned column, unsigned width);

/* LZW: codes 0..7 are the symbols, 8..1023 are learned, then the dictionary freezes.
 * (A packet of AGN_WIRE_MAX_PACKET bytes ends before it is full.) */
enum { AGN_LZW_MAX_CODES = 1024, AGN_LZW_STATE_BYTES = AGN_LZW_MAX_CODES * 4 };

/* agn_codec_state_bytes of a known codec, for static sizing. */
#define AGN_CODEC_STATE_BYTES(codec) ((codec) == AGN_CODEC_LZW ? (uint32_t)AGN_LZW_STATE_BYTES : 0u)

/* Name for people ("raw3", "lzw", "range", "jpeg"), NULL for an unknown codec; and the way back, of those
 * that code symbols (AGN_ERR_UNSUPPORTED). */
const char *agn_codec_name(int codec);
int agn_codec_from_name(const char *name);

/* Bytes of working memory that the encoder of a codec needs (0 for raw), or AGN_ERR_UNSUPPORTED. */
int agn_codec_state_bytes(int codec);

/* What is coded. */
struct agn_tile {
    uint8_t channel_first, channel_count;
    uint8_t row_first, row_count;
    uint8_t width;                            /* symbols a row */
    const struct agn_context_model *contexts; /* for range; others do without (NULL) */
};

/* Whether a codec needs a context model. */
int agn_codec_needs_contexts(int codec);

/* Bytes of a row of symbols, 3 bits each; and the packing of a row, one symbol a byte (its low 3 bits), into
 * them: least significant bit first, spare bits 0. */
#define AGN_ROW_BYTES(width) (((size_t)(width)*3u + 7u) / 8u)
void agn_row_pack(const uint8_t *symbols, unsigned width, uint8_t *packed);

/* An encoder at work. A plain copy taken between two agn_encoder_put_rows calls can be
 * finished in place of the original, even after the original has gone on: a caller
 * tries how much fits and ends at the last good border. The fields are private. */
struct agn_encoder {
    uint8_t *dst;
    size_t cap;
    size_t length;     /* whole bytes written */
    uint32_t bits;     /* bits not yet written, least significant first; range: the interval's low end */
    uint8_t bit_count; /* how many of them, 0..7 between calls */
    uint8_t codec;
    uint8_t overflow;   /* something did not fit */
    uint8_t code_width; /* LZW: bits of the next code to write */
    uint16_t code;      /* LZW: the string matched so far; AGN_LZW_MAX_CODES = none yet */
    uint16_t next_code; /* LZW: first free code */
    uint16_t *state;    /* LZW: first child and next sibling of each code */
    struct agn_tile tile;
    uint8_t channel, row; /* contexts: of the next row */
    uint8_t last;         /* range: the byte written last */
    uint32_t range;
};

/* Starts a stream into dst[0..cap). `tile` is copied, its contexts must stay. `state` is 2-byte aligned
 * memory of at least agn_codec_state_bytes (NULL where that is 0) that must stay until the stream's end.
 * AGN_ERR_UNSUPPORTED: unknown codec. AGN_ERR_SPACE: state too small. AGN_ERR_ARG: state misaligned, or a
 * context model is needed that is missing or has not all channels of the tile. */
int agn_encoder_begin(struct agn_encoder *encoder, int codec, const struct agn_tile *tile, void *state,
                      size_t state_bytes, uint8_t *dst, size_t cap);
/* Adds the tile's next `count` rows, packed as by agn_row_pack, one behind the other, AGN_ROW_BYTES(width)
 * each. Codecs with contexts look back at the row before in memory, but for a channel's first one. Never
 * writes beyond cap: an overflow is remembered. */
void agn_encoder_put_rows(struct agn_encoder *encoder, const uint8_t *rows, unsigned count);
/* Bytes that agn_encoder_finish would give now, or AGN_ERR_SPACE if they do not fit. With range it is an
 * upper bound, bytes written and one more: finish leaves out zeros at the end. */
int agn_encoder_size(const struct agn_encoder *encoder);
/* Ends the stream; its length in bytes, or AGN_ERR_SPACE. No symbols give 0 bytes. */
int agn_encoder_finish(struct agn_encoder *encoder);

/* Decodes the tile's symbols, `count` of them (one a byte, 0..7), from exactly `len` bytes. For codecs with
 * contexts count is channel_count x row_count x width; others take any.
 * Returns 0. AGN_ERR_FORMAT: truncated, trailing bytes or bits, an impossible code; `symbols` may then be
 * half written. AGN_ERR_UNSUPPORTED: unknown codec. AGN_ERR_ARG: contexts missing, or a count that is not the
 * tile's. Uses about 10 KB of stack for LZW. */
int agn_decode(int codec, const struct agn_tile *tile, const uint8_t *src, size_t len, uint8_t *symbols,
               size_t count);

/* ---- packets: device to server -------------------------------------------- */

struct agn_feature_packet {
    uint32_t model_id; /* both ends must hold models with this id */
    uint16_t frame;    /* number of the frame, wraps */
    uint8_t index;     /* number of the packet in its frame, from 0 */
    uint8_t last;      /* 1: no packet of a higher index follows, 0: more follow */
    uint8_t codec;
    uint8_t channel_first, channel_count; /* sent channels, see the head of this file */
    uint8_t row_first, row_count;
    uint16_t deadline_ms; /* how long the device waits for the answer; 0: not stated */
    const uint8_t *payload;
    size_t payload_bytes;
    uint8_t version; /* set by whatever read the packet: AGN_WIRE_VERSION or AGN_COMPACT_VERSION */
    /* Of version 2 only (agn_compact.h); 0 in what agn_feature_unpack reads. */
    uint8_t whole; /* this packet holds the whole map: no tile is written */
    uint8_t band;  /* the tile is some rows of one channel */
    uint8_t now;   /* the device asks for an answer at once, and may go on sending */
};

/* Writes a packet; returns its length. `payload` may already stand in its place (dst +
 * AGN_FEATURE_HEADER_BYTES); otherwise it must not overlap dst. AGN_ERR_SPACE: more than cap or
 * AGN_WIRE_MAX_PACKET. AGN_ERR_RANGE: an empty or overlong tile, an unknown codec, last > 1. */
int agn_feature_pack(const struct agn_feature_packet *packet, uint8_t *dst, size_t cap);

/* Reads a packet; ->payload points into src. `packet` is untouched on failure.
 * AGN_ERR_FORMAT: shorter or longer than any packet, or not a feature packet; AGN_ERR_VERSION;
 * AGN_ERR_CHECKSUM; AGN_ERR_UNSUPPORTED: codec; AGN_ERR_RANGE: flags, channels or rows.
 * (An unknown model_id is the caller's finding: AGN_ERR_MISMATCH.) */
int agn_feature_unpack(const uint8_t *src, size_t len, struct agn_feature_packet *packet);

struct agn_map_shape {
    uint8_t channels, height, width; /* of the sent part of the map; each >= 1 */
};

/* Decodes a packet's symbols to their place in `map` (channels x height x width, planar, one symbol a
 * byte). `contexts`: the model's, NULL if it has none. AGN_ERR_RANGE: the tile is not inside the map, or is a
 * band of several channels. AGN_ERR_FORMAT: the payload is malformed; the tile's part of the map may then be
 * half written. AGN_ERR_UNSUPPORTED: a codec with contexts for a model without, or AGN_CODEC_JPEG, whose
 * decoder is no part of this library. */
int agn_feature_decode(const struct agn_feature_packet *packet, const struct agn_map_shape *shape,
                       const struct agn_context_model *contexts, uint8_t *map);

/* ---- images as they are -----------------------------------------------------
 * A device without layers sends the pixels themselves: sent channel c is row c of the image, its bytes cut
 * into
 * ->height runs of equal length, the fewest of which each is at most 255 symbols. A run's symbols are its
 * bits, 3 each, least significant bit of the first byte first; spare bits of the last one are 0. So a run's
 * packed symbols (agn_row_pack) are its bytes.
 *
 * A packet of AGN_CODEC_JPEG holds whole rows of the image, from one that begins a row of MCUs on, and ends
 * with such a row or the image: the only restart interval of a picture of that height (agn_jpeg_format.h). */

/* AGN_ERR_RANGE: more than 255 rows, or no such runs. */
int agn_pixels_shape(unsigned rows, uint32_t row_bytes, struct agn_map_shape *shape);
/* A run's bytes from its `width` symbols, one a byte. AGN_ERR_NOT_FOUND: one of them never came (a byte above
 * 7); `bytes` may then be half written. */
int agn_pixels_read(const uint8_t *run, unsigned width, uint8_t *bytes);
/* And the other way round: `width` symbols of as many bytes as they hold. */
void agn_pixels_write(const uint8_t *bytes, unsigned width, uint8_t *run);

/* ---- packets: server to device --------------------------------------------- */

/* X(name, value, text) */
#define AGN_REPLY_STATUS_TABLE(X)                                                                            \
    X(AGN_REPLY_OK, 0, "ok")                                                                                 \
    X(AGN_REPLY_BAD_PACKET, 1, "bad packet")                                                                 \
    X(AGN_REPLY_VERSION, 2, "unsupported protocol version")                                                  \
    X(AGN_REPLY_MISMATCH, 3, "no model with this id")                                                        \
    X(AGN_REPLY_BUSY, 4, "busy")                                                                             \
    X(AGN_REPLY_FAILED, 5, "server failure")

enum agn_reply_status {
#define AGN_REPLY_STATUS_ENUM(name, value, text) name = (value),
    AGN_REPLY_STATUS_TABLE(AGN_REPLY_STATUS_ENUM)
#undef AGN_REPLY_STATUS_ENUM
        AGN_REPLY_STATUS_COUNT
};

/* English text of a reply status; never NULL. */
const char *agn_reply_status_text(int status);

struct agn_reply_packet {
    uint32_t model_id;
    uint16_t frame;
    uint8_t status;           /* enum agn_reply_status */
    uint8_t channels_missing; /* sent channels that had not (wholly) arrived when the server answered */
    uint16_t class_count;     /* 1..AGN_WIRE_MAX_CLASSES if ok, 0 with any other status */
    const uint8_t *logits;    /* set by unpack, points into src: class_count x int16 Q8.8, little-endian */
    uint8_t exponent;         /* of version 2, whose logits are int8: agn_compact.h */
};

/* Writes a reply; returns its length. `logits` are Q8.8, saturated by the caller; ->logits is not
 * read. AGN_ERR_SPACE, AGN_ERR_RANGE as above. */
int agn_reply_pack(const struct agn_reply_packet *reply, const int16_t *logits, uint8_t *dst, size_t cap);
/* Reads a reply; the errors are those of agn_feature_unpack. `reply` is untouched on failure. */
int agn_reply_unpack(const uint8_t *src, size_t len, struct agn_reply_packet *reply);
/* The version of a reply whose checksum holds, be it this one (AGN_WIRE_VERSION) or another, in which nothing
 * else can be read but model and frame. AGN_ERR_FORMAT, AGN_ERR_CHECKSUM. */
int agn_reply_version(const uint8_t *src, size_t len);
/* Logit of a class < class_count, Q8.8. */
int16_t agn_reply_logit(const struct agn_reply_packet *reply, unsigned class_index);

/* ---- arithmetic ------------------------------------------------------------ */

/* CRC-32 (IEEE 802.3, reflected, as in zlib). Start with crc = 0; continue with the last result. */
uint32_t agn_crc32(uint32_t crc, const void *data, size_t len);

/* alpha * local + (1 - alpha) * remote for Q8.8 logits and alpha in Q15 (0..32768 = 1.0): Q8.23,
 * exact, never overflows. */
static inline int32_t agn_fuse(int16_t local, int16_t remote, uint16_t alpha_q15)
{
    return (int32_t)alpha_q15 * local + (32768 - (int32_t)alpha_q15) * remote;
}

/* Position of the largest value, the lowest one of equals; count >= 1. */
unsigned agn_argmax_s16(const int16_t *values, unsigned count);
unsigned agn_argmax_s32(const int32_t *values, unsigned count);

#ifdef __cplusplus
}
#endif

#endif
