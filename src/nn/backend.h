/* What computes a net. A backend says how each operator computes, where a net's memory lies, and how values
 * get there; a net belongs to one from its creation on. The CPU's: backend_cpu.c, which also lists them all.
 *
 * Parameters, their gradients and running statistics are the host's (struct agn_params) for every backend. An
 * operator's `load` takes what has changed to where it computes; what backward and BN work out is in the
 * store once `leave` returns, or for those in peers.gradients once the operator's backward does.
 *
 * Nets for inference (inference.c, fusion.c) are the CPU's. */
#ifndef AGN_NN_BACKEND_H
#define AGN_NN_BACKEND_H

#include "agilenn/nn.h"

struct agn__op_class;

/* What a backend changes in the thread that calls it. */
struct agn__caller {
    int threads;
    uint64_t mode;
};

struct agn__backend {
    const char *name;
    const struct agn__op_class *const *ops; /* (AGN_OP_TYPES) */
    bool parts; /* threads may compute several of its nets at once: frozen nets in parts, net_parts.c */
    /* Can it compute so? A status. */
    int (*check_compute)(enum agn_compute compute);
    /* Memory of a net's tensors, filled with zeros and aligned to 64 bytes; NULL: there is none. */
    void *(*allocate)(size_t size_bytes);
    void (*release)(void *memory);
    /* Copies of `count` floats; a status. All NULL: its memory is the host's, and borders are lent as they
     * are. Else `upload` has read its source and `download` has written its result on return. */
    int (*upload)(float *memory, const float *host, size_t count);
    int (*download)(float *host, const float *memory, size_t count);
    int (*copy)(float *dst, const float *src, size_t count);
    /* Around planning and around each pass, by the thread that calls. `leave` gives the thread back as it
     * was; results of a pass can be downloaded then, and failures of what went on at its own pace are its
     * status. */
    void (*enter)(const struct agn_net *net, bool plans, struct agn__caller *caller);
    int (*leave)(const struct agn_net *net, const struct agn__caller *caller);
};

extern const struct agn__backend agn__backend_cpu;

/* All there are; NULL ends the list. */
extern const struct agn__backend *const agn__backends[];

/* What the process's nets are made on from now on; the CPU at first. */
void agn__backend_use(const struct agn__backend *backend);
const struct agn__backend *agn__backend_in_use(void);

#endif
