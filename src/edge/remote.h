/* What the edge server asks of a Remote NN before it serves. */
#ifndef AGN_EDGE_REMOTE_H
#define AGN_EDGE_REMOTE_H

#include "agilenn/edge.h"

/* Times calls of `count` frames for some 20 ms: *seconds of one call, the median. What is measured is the
 * machine as busy as it is just then. */
int agn__remote_measure(struct agn_remote *remote, int count, double *seconds);
/* How many of its layers run in reference code: the libraries have none for this processor. */
int agn__remote_reference_layers(const struct agn_remote *remote);

#endif
