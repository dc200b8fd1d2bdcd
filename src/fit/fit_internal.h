/* What the files of this room share: the search's book in a database, the real trainer, successive halving.
 */
#ifndef AGN_FIT_INTERNAL_H
#define AGN_FIT_INTERNAL_H

#include "agilenn/fit.h"
#include "agilenn/model.h"
#include "agn_device.h"

/* ---- the book: DIR/fit.sqlite ---------------------------------------------------- */

struct agn__fit_book;

/* Opens or makes it. `settings` is a text of all that decides the search: a book of others is AGN_ERR_STATE,
 * and so is one that is there where `resume` does not ask for it. */
int agn__fit_book_open(const char *path, const char *settings, bool resume, struct agn__fit_book **book);
void agn__fit_book_close(struct agn__fit_book *book);

int agn__fit_book_add_candidate(struct agn__fit_book *book, int number, const struct agn_fit_candidate *c);
int agn__fit_book_drop(struct agn__fit_book *book, int number, const char *reason);
/* Work, RAM, flash and reason of a candidate that has been looked at; AGN_ERR_NOT_FOUND: it has not. */
int agn__fit_book_candidate(struct agn__fit_book *book, int number, struct agn_fit_candidate *c);

/* A rung begins with these members, each to see so many images. */
int agn__fit_book_begin_rung(struct agn__fit_book *book, int rung, double images, const int *members,
                             int count);
/* Of a rung that has begun: 1; else 0. */
int agn__fit_book_rung(struct agn__fit_book *book, int rung, double *images, int members[AGN_FIT_MOST],
                       int *count);

int agn__fit_book_add_result(struct agn__fit_book *book, int candidate, int rung,
                             const struct agn_fit_result *result);
/* 1: it was measured; 0: it was not. */
int agn__fit_book_result(struct agn__fit_book *book, int candidate, int rung, struct agn_fit_result *result);

/* Seconds that the search has used so far. */
int agn__fit_book_set_seconds(struct agn__fit_book *book, double seconds);
int agn__fit_book_seconds(struct agn__fit_book *book, double *seconds);

/* ---- designs --------------------------------------------------------------------- */

/* What a candidate costs at a point. `result` NULL: before it is trained, with the fewest frames sent that
 * are possible. */
int agn__fit_design_make(const struct agn_fit_config *config, const struct agn_fit_candidate *candidate,
                         const struct agn_fit_result *result, const struct agn_fit_point *point,
                         struct agn_fit_design *design);
/* Misses of limits even at the low end of what is modelled; accuracy aside. */
unsigned agn__fit_surely_missed(const struct agn_fit_design *design, const struct agn_fit_limits *limits);
/* "12.0 ms of latency, 10.0 are allowed; ..." */
void agn__fit_say_missed(const struct agn_fit_design *design, const struct agn_fit_limits *limits,
                         unsigned missed, char text[AGN_FIT_REASON]);
/* A design's figure under a limit, and by which share it misses it (0 or less: it does not). */
double agn__fit_figure(const struct agn_fit_design *design, enum agn_fit_limit limit);
double agn__fit_excess(const struct agn_fit_design *design, const struct agn_fit_limits *limits,
                       enum agn_fit_limit limit);

/* What giving up each limit brings, from measured and from untrained designs. */
void agn__fit_find_prices(struct agn_fit_report *report, const struct agn_fit_limits *limits,
                          const struct agn_fit_design *untrained, int untrained_count);

/* ---- halving ------------------------------------------------------------------------ */

struct agn__fit_search {
    const struct agn_fit_config *config;
    struct agn_fit_trainer trainer;
    struct agn__fit_book *book;
    struct agn_fit_report *report;
    double begun_s;  /* of this part, by trainer.now */
    double before_s; /* that earlier parts have used */
    double told_s;
    int rungs;
};

double agn__fit_used_s(const struct agn__fit_search *search);
/* Trains rung by rung what the report's candidates have that are not dropped, and notes all of it. */
int agn__fit_halve(struct agn__fit_search *search);
/* Members of the rung after that of `designs`: the base's own, and at most `most` others. First the most
 * accurate one of each system, then alternately the most accurate one left and the one of least energy whose
 * accuracy is within 5 points of the best; of designs that miss least. */
int agn__fit_choose_survivors(const struct agn_fit_candidate *candidates,
                              const struct agn_fit_design *designs, int count, int most,
                              int survivors[AGN_FIT_MOST]);

/* ---- instructions and usual bytes of a frame (work.c) ------------------------------------ */

/* With the fewest frames sent that are possible. */
int agn__fit_count_work(const struct agn_model *model, const struct agn_dev_model *device,
                        struct agn_work *work);
/* CoAP around a packet in this version of the protocol. */
double agn__fit_coap_bytes(int protocol);
/* Work as agilenn/cost.h has it, version 1, in another version: CoAP of packets, and the answer. */
void agn__fit_speak(int protocol, int classes, struct agn_work *work);
/* Instructions for packets of so many bytes, without CoAP. */
int agn__fit_count_encoding(const struct agn_dev_model *device, double bytes, double packets,
                            double *instructions);

/* ---- the real trainer (trial.c) and what it measures (sweep.c) ------------------------- */

struct agn__fit_trial {
    const struct agn_fit_config *config;
};
struct agn_fit_trainer agn__fit_real_trainer(struct agn__fit_trial *trial);

/* How frames are sent. */
struct agn__fit_link {
    int protocol;      /* version of the wire */
    size_t packet_cap; /* bytes of a packet at most */
};

/* Accuracy at each way to use the model, on images as devices take them; fills points, local_accuracy,
 * measured_images, packets and packet_bytes. */
int agn__fit_measure(struct agn_model *model, const struct agn_dataset *calibration,
                     const struct agn_dataset *data, const struct agn__fit_link *link,
                     struct agn_fit_result *result);

/* The point's accuracy and share on images of another set; a share to be sent is turned into margins by the
 * images it was chosen on. With exits the model's own threshold holds. */
int agn__fit_apply(struct agn_model *model, const struct agn_dataset *chosen_on,
                   const struct agn_dataset *data, struct agn_fit_point *point, double *local_accuracy);

/* DIR/NAME.ENDING; AGN_ERR_RANGE: too long. */
int agn__fit_path(const char *folder, const char *name, const char *ending, char path[1024]);

/* A copy of at most `most` images (0: all), spread evenly over the set, as agn_preset_as_sent leaves them for
 * this preset (NULL: as they are). Freed with agn__fit_images_free; good to free after a failure, too. */
int agn__fit_images_for(const struct agn_preset *preset, const struct agn_dataset *data, int most,
                        struct agn_dataset *copy);
void agn__fit_images_free(struct agn_dataset *copy);

#endif
