/* What other operators need of batch normalisation. */
#ifndef AGN_NN_OP_BATCHNORM_H
#define AGN_NN_OP_BATCHNORM_H

#include "nn/net_internal.h"

/* Inference-mode BN as y = x * scale + shift, from the running statistics. */
int agn__batchnorm_affine(const struct agn_params *params, const struct agn_op_spec *spec, int channels,
                          float *scale, float *shift);

#endif
