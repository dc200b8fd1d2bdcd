/* Inside src/sets: which images are for training, for test and for validation. */
#ifndef AGN_SETS_PARTS_H
#define AGN_SETS_PARTS_H

#include "sets/sink.h"

/* Settles what of the data set is read for sink->source: replaces the source's split by that of the reader
 * ("train" or "test"; of class folders the folder's name, or "." where classes lie in PATH itself), and sets
 * sink->part and the shares. Errors say what was found and what to do. */
int agn__parts_resolve(struct agn__sink *sink);

/* Is the part a share, so that agn__sink_begin needs sink->labels? */
bool agn__parts_need_labels(const struct agn__sink *sink);

/* Draws the part from the `total` images with sink->labels: sets sink->picks and sink->kept. */
int agn__parts_choose(struct agn__sink *sink, int total, int classes);

#endif
