/* Instructions of a frame as a sum of amounts times coefficients: amounts follow from the shapes of a model's
 * layers and the kernels that they take, coefficients were fitted to QEMU's counts (bench/fit_work.py). */
#ifndef AGN_MEASURE_WORK_H
#define AGN_MEASURE_WORK_H

#include "agn_device.h"

/* X(name, instructions): what is counted, and what one of it costs. `plane`: a row of one output channel;
 * `block`: four places of a plane, `call`: the same, begun ones counted; `place`: one left over, or each
 * where there are no blocks. */
enum agn__term {
#define AGN__TERM(name, instructions) AGN__TERM_##name,
#include "measure/work_terms.inc"
#undef AGN__TERM
    AGN__TERMS
};

struct agn__amounts {
    double of[AGN__TERMS];
};

const char *agn__term_name(enum agn__term term);
double agn__instructions(const struct agn__amounts *amounts);

/* A layer's kernel. */
void agn__layer_amounts(const struct agn_dev_model *model, unsigned layer, struct agn__amounts *amounts);
/* What is around the kernels: rows in and out, sums, symbols; and the Local NN's pooling and dense layer, but
 * its own layers. */
void agn__flow_amounts(const struct agn_dev_model *model, struct agn__amounts *amounts);
void agn__local_amounts(const struct agn_dev_model *model, struct agn__amounts *amounts);
/* Making all packets of a frame, `bytes` in all. */
void agn__packet_amounts(const struct agn_dev_model *model, double packets, double bytes,
                         struct agn__amounts *amounts);

#endif
