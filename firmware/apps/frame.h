/* What the counting programs share: a frame through the device library, figures as "name,number" lines. */
#ifndef AGN_FIRMWARE_FRAME_H
#define AGN_FIRMWARE_FRAME_H

#include "agn_device.h"
#include "board.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The device library's arena: enough for any model unless set, by a board with less RAM or by DEFINES. What a
 * model needs, `agilenn info model.agn` tells. */
#ifndef APP_ARENA_BYTES
#define APP_ARENA_BYTES (64 * 1024)
#endif

/* Linked in by the Makefile: a model.agn and the pixels of frames. */
extern const uint8_t app_model[], app_model_end[], app_frames[], app_frames_end[];

struct frame_counts {
    uint32_t rows;    /* extractor, split and Local NN */
    uint32_t packets; /* all packets of the frame */
    uint32_t bytes;   /* of all packets */
};

extern struct agn_dev frame_dev;

/* Opens the model; 0, or an AGN_ERR code. */
int frame_open(void);
/* Runs frame number `index`, if it is there; 1, 0 when there are no more, or an AGN_ERR code. Each packet
 * goes to `packet` unless that is NULL. */
int frame_run(unsigned index, struct frame_counts *counts, void (*packet)(const uint8_t *bytes, size_t len));

void print_number(const char *name, uint32_t number);
void print_hex(const char *name, const uint8_t *bytes, size_t len);

#ifdef __cplusplus
}
#endif

#endif
