/* Codecs side by side on the features of a trained model. */
#ifndef AGILENN_BENCH_CODEC_H
#define AGILENN_BENCH_CODEC_H

#include "agilenn/data.h"
#include "agilenn/train.h"

struct agn_bench_codec_row {
    const char *name;
    double bytes_mean;                   /* of a frame's symbols, one payload, without headers */
    double encode_mb_s, decode_mb_s;     /* host; MB of symbols at 3 bits each */
    double instructions_per_symbol;      /* Cortex-M7 under QEMU, without header and checksum; NaN: none */
    double packet_bytes_mean;            /* of the firmware's packets, headers included; NaN: none */
    uint32_t table_bytes, encoder_bytes; /* in flash: its tables; in RAM: its state */
};

struct agn_bench_codec {
    int images, symbols; /* of a frame */
    double zero_share;
    /* Bits of these symbols in bytes a frame: by how often each occurs at all; in its channel; in its
     * context, counted on these very images (what no static model of these contexts can go below); and by the
     * model's tables, learned on other images. */
    double entropy, channel_entropy, context_entropy, model_entropy;
    struct agn_bench_codec_row rows[AGN_CODEC_COUNT];
    const char *firmware_note; /* why there are no instructions; NULL: there are */
};

struct agn_bench_codec_config {
    struct agn_model *model; /* with learned contexts */
    const struct agn_dataset *calibration, *images;
    const char *firmware; /* the folder firmware/ of the source tree, NULL: count no instructions */
    int firmware_images;  /* at most; 0 = 20 */
};

/* Runs the int8 device on the images and codes its symbols with every codec; what is coded is decoded and
 * compared. AGN_ERR_FORMAT: a codec gave back other symbols. */
int agn_bench_codec(const struct agn_bench_codec_config *config, struct agn_bench_codec *result);

#endif
