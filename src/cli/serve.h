/* Parts of `agilenn serve`: its settings, their file, its log. */
#ifndef AGN_CLI_SERVE_H
#define AGN_CLI_SERVE_H

#include <stdbool.h>

#include "cli/options.h"

enum { AGN_SERVE_MAX_PEER_RATE = 1000000, AGN_SERVE_MAX_PEER_BYTES = 1000000000 };

struct agn_serve_options {
    const char *config, *address, *log, *http, *psk_file;
    int port, wait_ms, threads, workers, batch, batch_wait_us, queue, max_frames, max_peers, drain_ms,
        receive_buffer, rate;
    int dtls_port, peer_rate, peer_bytes;
    bool json, int8, plain_off, dtls_cbc;
    struct agn_cli_list models;
    bool accept_reports;
};

/* Reads settings from an ini file over those in `options`; texts stay until the program ends. Prints what is
 * wrong, with its line; returns AGN_CLI_GO_ON or the exit code to end with. */
int agn__serve_read_config(const char *path, struct agn_serve_options *options);

/* Sends log lines to stderr: format "text" or "json", one object a line; NULL: warnings and errors only, as
 * text. What exceeds 20 lines a second of one origin (the word before the colon) is counted instead and said
 * later. */
void agn__serve_log_to_stderr(const char *format);

#endif
