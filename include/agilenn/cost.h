/* What a frame costs on a board with a radio: latency and energy by stage, modelled from exact counts
 * (instructions, bytes, packets) and from profiles of boards and radios, whose inputs each have a low, a
 * typical and a high value. Nothing here is measured on hardware. */
#ifndef AGILENN_COST_H
#define AGILENN_COST_H

#include "agilenn/base.h"
#include "agn_device.h"

enum { AGN_PROFILE_NAME = 64 };

/* low <= typical <= high; an input of a profile or a result of the model. */
struct agn_interval {
    double low, typical, high;
};

/* A processor and what it draws (profiles/boards/NAME.ini). */
struct agn_board {
    char name[AGN_PROFILE_NAME];
    char target[AGN_PROFILE_NAME]; /* of agn_target_find, as cortex-m7: code size, kernels */
    double clock_mhz;              /* may be changed by the caller before estimating */
    double ram_bytes, flash_bytes;
    double volts;
    double image_ms; /* from the sensor into memory, 0 if it comes in the background */
    struct agn_interval cycles_per_instruction; /* of this library's kernels on that core */
    struct agn_interval relative_instructions;  /* of this core for the work of one Cortex-M7 instruction */
    struct agn_interval run_ma;                 /* computing at rated clock */
    struct agn_interval wait_ma;                /* asleep until an interrupt, clocks on */
    struct agn_interval rest_mw; /* whole board beside processor and radio: regulators, RAM, lights */
    double rated_mhz;            /* clock at which run_ma and wait_ma hold; they scale with it */
};

/* A modem and its network (profiles/radios/NAME.ini). */
struct agn_radio {
    char name[AGN_PROFILE_NAME];
    double rate_kbps;   /* on the air, of a datagram's bytes; may be changed by the caller */
    double serial_baud; /* between processor and modem, 8N1; 0: on the same chip or by SPI/MII */
    double volts;
    double header_bytes;         /* IP and UDP, or what stands for them */
    double longest_bytes;        /* datagram that goes unfragmented */
    double packets_per_second;   /* most the network allows: duty cycle, polling; 0: no such bound. A frame's
                                    datagrams wait for each other so long; may be far below 1 */
    struct agn_interval send_ms; /* fixed, a datagram: commands to the modem and their answers */
    struct agn_interval air_ms;  /* fixed, a datagram: preamble, contention, acknowledgement */
    struct agn_interval network_ms; /* from the radio's other side to the server, one way */
    struct agn_interval receive_ms; /* fixed, a datagram that comes */
    struct agn_interval sleep_ma;   /* while the processor computes */
    struct agn_interval idle_ma;    /* awake, waiting for an answer or for the serial line */
    struct agn_interval transmit_ma, receive_ma;
};

/* `name`: of a file in profiles/, or the path of an .ini file. AGN_ERR_FORMAT and AGN_ERR_RANGE name file,
 * line, key, and what is expected; AGN_ERR_IO: there is none, and which there are. Values are finite, low <=
 * typical <= high. */
int agn_board_load(const char *name, struct agn_board *board);
int agn_radio_load(const char *name, struct agn_radio *radio);

enum agn_profile_kind { AGN_PROFILE_BOARD, AGN_PROFILE_RADIO };
enum { AGN_MOST_PROFILES = 64, AGN_MOST_PROFILE_INPUTS = 16, AGN_PROFILE_SOURCE = 192 };

/* Names of the profiles that can be found, in order, `most` at most; returns how many. Looked for in
 * $AGILENN_PROFILES, ./profiles, and beside the program as presets are. */
int agn_profile_names(enum agn_profile_kind kind, char (*names)[AGN_PROFILE_NAME], int most);

/* An input as a profile has it. */
struct agn_profile_input {
    const char *key, *unit, *meaning;
    struct agn_interval value; /* all three the same where the input is one number */
    char source[AGN_PROFILE_SOURCE];
    const char *sure; /* known: from a data sheet or measurement that was read; computed; memory; guess */
};
/* All inputs but words, in the profile's own order; returns how many. Errors as of agn_board_load. */
int agn_profile_inputs(enum agn_profile_kind kind, const char *name, struct agn_profile_input *inputs,
                       int most);

/* What a system asks for, mean over frames. Instructions are a Cortex-M7's. */
struct agn_work {
    double extract_instructions; /* every frame: rows in, network until the decision whether to send */
    double local_instructions;   /* every frame: Local NN and fusion */
    double encode_instructions;  /* a frame that is sent: symbols, codec, packets */
    double packets;              /* a frame that is sent */
    double packet_bytes; /* a frame that is sent: all its packets with CoAP, without the radio's headers */
    double reply_bytes;  /* likewise, of the answer */
    double sent_share;   /* of frames, 0 to 1 */
    double server_ms;    /* queue and Remote NN */
};

/* CoAP around a packet of version 1 of the protocol, and around an answer of version 1 and 2
 * (docs/PROTOCOL.md). */
enum { AGN_WORK_COAP_BYTES = 18, AGN_WORK_ANSWER_COAP_BYTES = 11, AGN_WORK_COMPACT_ANSWER_COAP_BYTES = 7 };

/* The work of a device model by a model of this library's kernels, without running anything: amounts by the
 * layers' shapes times coefficients that were fitted to QEMU's counts of a Cortex-M7 with DSP kernels
 * (docs/COST.md has its error). All layers are run: exits are not taken, and of several cuts the model's own
 * is. Bytes and packets: of raw symbols exact; else as usual, for agn_work_set_bytes to replace. sent_share
 * is 1, or 0 where the model does not send; server_ms is 0. */
int agn_work_of_model(const struct agn_dev_model *model, struct agn_work *work);
/* Packets of a frame that is sent, `bytes` in all (headers of packets counted, CoAP not): sets packets,
 * packet_bytes and encode_instructions. No effect where the model does not send. AGN_ERR_ARG. */
int agn_work_set_bytes(const struct agn_dev_model *model, double bytes, double packets,
                       struct agn_work *work);
/* Means over the frames that were sent, as agn_run_images finds them; 0 or NAN: not known, or none was. */
struct agn_work_measured {
    double packets, payload_bytes, datagram_bytes; /* to the server: without CoAP, and with it */
    double reply_bytes;                            /* of the answer, without CoAP */
    int protocol;                                  /* its version */
};
/* What is known of these in place of what is usual. No effect where the model does not send. */
int agn_work_set_measured(const struct agn_dev_model *model, const struct agn_work_measured *measured,
                          struct agn_work *work);
/* The same instructions as QEMU counts them, of random pictures, in place of the modelled ones: builds the
 * source tree's folder firmware/ around the model. Bytes and packets are those of these pictures, unless the
 * model sends raw symbols no good guess. extract and local are counted together, and shared out as modelled.
 * AGN_ERR_NOT_FOUND: what is needed is not installed; AGN_ERR_IO. */
int agn_work_count(const char *firmware, const void *bytes, size_t size_bytes, struct agn_work *work);
/* How far from 1 the count of agn_work_of_model over QEMU's was at most, of the networks that it was not
 * fitted to. */
#define AGN_WORK_ERROR 0.1

enum agn_cost_stage {
    AGN_COST_SENSOR,
    AGN_COST_EXTRACT,
    AGN_COST_LOCAL,
    AGN_COST_ENCODE,
    AGN_COST_SERIAL, /* to the modem, fixed part included */
    AGN_COST_AIR,
    AGN_COST_SERVER, /* network both ways and computing */
    AGN_COST_BACK,   /* air and serial line of the answer */
    AGN_COST_STAGES
};
/* Name of a stage, one word as in JSON. */
const char *agn_cost_stage_name(enum agn_cost_stage stage);

struct agn_cost {
    struct agn_interval stage_ms[AGN_COST_STAGES]; /* of a frame that is sent */
    struct agn_interval stage_mj[AGN_COST_STAGES]; /* processor and radio */
    struct agn_interval unsent_ms, unsent_mj;      /* a frame that is not sent */
    struct agn_interval sent_ms, sent_mj;          /* one that is */
    struct agn_interval mean_ms, mean_mj;          /* over all frames, by sent_share */
    struct agn_interval median_ms;                 /* unsent_ms where less than half are sent, else sent_ms */
    struct agn_interval mean_board_mj;             /* mean_mj, and what else the board draws meanwhile */
    double air_bytes;                              /* to the server, mean over all frames, all headers */
    /* Frames a second, one after the other: by mean_ms, and no more than packets_per_second lets through. */
    struct agn_interval frames_per_second;
};

/* Of a frame that is sent, one stage follows the other. An AT modem stores a datagram and forwards it: serial
 * line and air add up; of several, the serial line of the next runs beside the air of the one before, and
 * what is longer counts (AGN_COST_SERIAL has what is beyond the air). The processor waits and the radio is
 * idle where neither does anything; the radio sleeps while the processor computes. docs/COST.md. AGN_ERR_ARG:
 * a count that is negative or no number, packets between 0 and 1, a clock or rate of 0; AGN_ERR_RANGE:
 * datagrams longer on average than the radio takes. `cost` is untouched then. */
int agn_cost_frame(const struct agn_board *board, const struct agn_radio *radio, const struct agn_work *work,
                   struct agn_cost *cost);

/* ---- around it --------------------------------------------------------------------------- */

/* Makes more and smaller packets where the radio takes no such long ones: each has headers of its own.
 * AGN_ERR_RANGE: not even one row of symbols goes into one. */
int agn_work_fit_radio(const struct agn_dev_model *model, const struct agn_radio *radio,
                       struct agn_work *work);

/* A frame when a datagram is lost with a chance `loss` (0 to 1, this one excluded), packets and answer alike,
 * and none is repeated: then the device waits until `deadline_ms` after the first packet and answers alone.
 */
struct agn_cost_loss {
    double answered_share; /* of the frames that are sent */
    struct agn_interval mean_ms, mean_mj;
};
int agn_cost_with_loss(const struct agn_board *board, const struct agn_radio *radio,
                       const struct agn_work *work, double loss, double deadline_ms,
                       struct agn_cost_loss *result);

/* An input of a profile, and what the mean changes by when it alone goes from low to high. */
struct agn_cost_lever {
    const char *profile, *key; /* "board" or "radio"; as in the file */
    double ms, mj;
};
/* The inputs that change mean_ms or mean_mj by the largest share, largest first; returns how many. */
int agn_cost_levers(const struct agn_board *board, const struct agn_radio *radio, const struct agn_work *work,
                    struct agn_cost_lever *levers, int most);

#endif
