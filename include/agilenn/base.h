/* Host base: errors, log, memory, random numbers, files, time, progress.
 *
 * Every host room may use this header. Nothing here knows about networks or
 * data sets. Libraries never print or exit: they return a status (agn_status.h)
 * and leave a sentence for the user with agn_fail(). */
#ifndef AGILENN_BASE_H
#define AGILENN_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agilenn/figures.h"
#include "agn_status.h"

#if defined(__GNUC__)
#define AGN_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))
#else
#define AGN_PRINTF(fmt_arg, first_arg)
#endif

#define AGN_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- errors ------------------------------------------------------------- */

/* Stores a sentence for the user in this thread (what failed, where, what was
 * expected, what to do) and returns `status` unchanged, so that a failing
 * function ends with `return agn_fail(AGN_ERR_IO, "...")`. */
int agn_fail(int status, const char *format, ...) AGN_PRINTF(2, 3);
#ifdef __clang_analyzer__ /* tells clang's analyser what the sentence above tells the reader */
#define agn_fail(status, ...)                                                                                \
    __extension__({                                                                                          \
        agn_fail(status, __VA_ARGS__);                                                                       \
        (status);                                                                                            \
    })
#endif

/* The sentence stored last in this thread ("" if none). Valid until the next agn_fail. */
const char *agn_error_message(void);

/* ---- log ---------------------------------------------------------------- */

enum agn_log_level { AGN_LOG_ERROR, AGN_LOG_WARN, AGN_LOG_INFO, AGN_LOG_DEBUG };

/* Receives each log line (no newline at its end). May be called from any thread. */
typedef void agn_log_fn(void *user, enum agn_log_level level, const char *line);

/* Sets the receiver; NULL (the default) drops all lines. Call before threads start. */
void agn_log_to(agn_log_fn *fn, void *user, enum agn_log_level max_level);
void agn_log(enum agn_log_level level, const char *format, ...) AGN_PRINTF(2, 3);

/* ---- memory ------------------------------------------------------------- */

/* 64-byte aligned, zeroed. NULL (and agn_fail(AGN_ERR_MEMORY)) when there is none.
 * count * size is checked for overflow. Freed with agn_free. */
void *agn_alloc(size_t count, size_t size_bytes);
void agn_free(void *pointer);

/* ---- random numbers: xoshiro256** seeded by splitmix64 --------------------- */

struct agn_rng {
    uint64_t s[4];
};
void agn_rng_seed(struct agn_rng *rng, uint64_t seed);
uint64_t agn_rng_u64(struct agn_rng *rng);
/* Uniform in [0, bound), without modulo bias; bound >= 1. */
uint32_t agn_rng_below(struct agn_rng *rng, uint32_t bound);
/* Uniform in [0, 1). */
double agn_rng_uniform(struct agn_rng *rng);
/* Normal, mean 0, variance 1 (Box-Muller; keeps no state beside `rng`). */
double agn_rng_normal(struct agn_rng *rng);

/* ---- files -------------------------------------------------------------- */

/* A file inside the program (cmake/EmbedFiles.cmake). */
struct agn_embedded_file {
    const char *name;
    const unsigned char *bytes;
    size_t size_bytes;
};

/* Reads a whole file of at most max_bytes into memory that the caller frees with agn_free.
 * A zero byte, not counted in size_bytes, follows the content. AGN_ERR_NOT_FOUND, _IO, _RANGE (too large). */
int agn_file_read(const char *path, size_t max_bytes, uint8_t **data, size_t *size_bytes);

/* Writes a whole file: to a temporary name in the same folder, fsync, then rename,
 * so that `path` is either the old content or the new one. Refuses folders and devices;
 * writes through symbolic links; keeps the old file's access rights. */
int agn_file_write(const char *path, const void *data, size_t size_bytes);

/* The same for callers that print their content: open, write to ->stream, then commit or abort. */
struct agn_file_out {
    void *stream; /* FILE * */
    char path[1024];
    char temporary[1056];
};
int agn_file_out_open(struct agn_file_out *out, const char *path);
int agn_file_out_commit(struct agn_file_out *out);
void agn_file_out_abort(struct agn_file_out *out);

/* Makes a folder and its parents, like mkdir -p. */
int agn_make_dirs(const char *path);
/* FOLDER/NAME into `path` of `cap` bytes. AGN_ERR_ARG: it is too long. */
int agn_path_in(char *path, size_t cap, const char *folder, const char *name);
bool agn_file_exists(const char *path);

/* A path from a setting into `path`: quotes around all of it are taken off, and a leading ~ or ~/ becomes
 * $HOME where that is an absolute path. AGN_ERR_RANGE: longer than cap - 1 bytes. */
int agn_path_expand(const char *given, char *path, size_t cap);

/* ---- text of any origin ----------------------------------------------------- */

/* Bytes (1 to 4) of the UTF-8 character that `text` begins with, whose code is stored; 0, and nothing stored:
 * it is none, or a control character. */
size_t agn_utf8_read(const char *text, uint32_t *code);
/* Columns that the text takes in a terminal, with wide characters counted as two and bytes that
 * agn_utf8_read refuses as one. */
int agn_text_columns(const char *text);
/* Copies text for a terminal or a picture: what agn_utf8_read refuses becomes '?'; text of more than
 * `columns` (at least 1) or of cap bytes (at least 4) and more is cut at a character and ends in an ellipsis.
 * Returns the columns used. */
int agn_text_clip(char *out, size_t cap, const char *text, int columns);

/* ---- time and interruption -------------------------------------------------- */

/* Monotonic seconds. */
double agn_now_s(void);

/* Which of two ways of doing the same work is the faster one just now, by timing both. Way 0 is the usual
 * one; the other is tried when the time of a unit of work has changed by a quarter since they were compared
 * last, and way 0 again now and then while way 1 is taken. Zero but for window_s is the beginning. */
struct agn_choice {
    double window_s; /* calls together make a measurement when they took so long */
    int way;         /* 0 or 1: that of the next call */
    /* The rest belongs to agn_choice_report. */
    double work, seconds, cost[2], settled;
    int since, gap;
    bool warm, trial;
};
/* A call did `work` (of any unit) in `seconds` by choice->way; changes that. */
void agn_choice_report(struct agn_choice *choice, double work, double seconds);

/* Set by a signal handler (cli), read by long-running library code, which then
 * saves what it must and returns AGN_ERR_INTERRUPTED. */
void agn_interrupt_request(void); /* async-signal-safe */
bool agn_interrupt_requested(void);
void agn_interrupt_clear(void);

/* ---- progress ----------------------------------------------------------- */

/* One report of long work. Figures that do not apply are NAN (double) or 0 (int). */
enum { AGN_PROGRESS_FIGURES = 8 };
struct agn_progress {
    const char *phase;   /* "reference", "joint", "run", ... */
    int epoch, epochs;   /* 1-based */
    int64_t done, total; /* items of the phase so far / in all */
    double rate;         /* items/s over the last moments */
    const char *item;    /* what one is called in a rate: "img"; NULL: "items" */
    double eta_s;        /* estimated seconds left in this phase */
    /* That the work itself names; the first without a key ends the list. */
    struct agn_figure figures[AGN_PROGRESS_FIGURES];
    bool epoch_end; /* this is the last report of an epoch: worth a line of its own */
};
typedef void agn_progress_fn(void *user, const struct agn_progress *progress);

/* A terminal printer for agn_progress_fn: rewrites one line on a tty, prints a line per
 * epoch or per ten seconds otherwise, and where TERM is unset, empty or "dumb" or NO_COLOR is
 * set and not empty; figures that are NAN or 0 are left out. `user` is a FILE *. Call it from one
 * thread. */
void agn_progress_print(void *user, const struct agn_progress *progress);

/* ---- named tensors in a file: the safetensors format -------------------------
 * https://github.com/huggingface/safetensors: u64 header length, JSON header, data.
 * Types used here: F32, I8, U8, I32, U64. Reading turns F16, BF16 and F64 into F32 (a double beyond its range
 * becomes infinite) and keeps the bytes of any other type as AGN_OTHER, which is not written. Little-endian
 * hosts only. */

enum agn_dtype { AGN_F32, AGN_I8, AGN_U8, AGN_I32, AGN_U64, AGN_OTHER };

struct agn_tensor_view {
    char name[96];
    enum agn_dtype dtype;
    int rank;
    int64_t dims[6];
    const void *data; /* reading: 64-byte aligned, points into the file's memory */
    size_t size_bytes;
};

struct agn_tensor_file {
    struct agn_tensor_view *tensors;
    int count;
    char *(*metadata)[2]; /* key, value; strings as the format demands */
    int metadata_count;
    uint8_t *memory; /* owned; NULL when the caller owns the tensors' data */
};

/* Every offset, shape and size is checked; a bad file gives AGN_ERR_FORMAT (too many
 * dimensions AGN_ERR_UNSUPPORTED) and says which tensor. Tensors come in
 * the order of their data, which is copied: `data` need not outlive the call. `file` is
 * freed with agn_tensor_file_free. */
int agn_tensor_file_read(const char *path, struct agn_tensor_file *file);
int agn_tensor_file_parse(const uint8_t *data, size_t size_bytes, struct agn_tensor_file *file);
/* The caller owns all that `file` points to. Wide types are written first, so that each
 * tensor is aligned to its type within the file. */
int agn_tensor_file_write(const char *path, const struct agn_tensor_file *file);
/* A row of floats, which stay the caller's. */
struct agn_tensor_view agn_tensor_view_f32(const char *name, const float *values, size_t count);
/* For a file that is to be written; its list of tensors is freed with agn_free(file->tensors). */
int agn_tensor_file_append(struct agn_tensor_file *file, const struct agn_tensor_view *views, int count);
/* NULL when there is none of that name. */
const struct agn_tensor_view *agn_tensor_file_find(const struct agn_tensor_file *file, const char *name);
const char *agn_tensor_file_metadata(const struct agn_tensor_file *file, const char *key);
void agn_tensor_file_free(struct agn_tensor_file *file);

#endif
